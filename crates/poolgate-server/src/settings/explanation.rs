//! What each setting is for: the documentation of its field, for settings files that explain themselves.

use documented::DocumentedFields;

use super::{
    AlertSettings, CleanupSettings, ClusterSettings, ControlSettings, DatabaseSettings, DemoSettings, EventSettings,
    GateSettings, GatewaySettings, HaProxyAgentSettings, MetricNames, MonitorSettings, OtlpSettings, PoolSettings,
    ServerSettings, Settings, SizingSettings, ThresholdSettings, UpstreamSettings, WatchSettings,
};

/// A section of the settings file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name, with a dot for a section within a section; empty for the settings outside of sections.
    pub name: &'static str,
    names: &'static [&'static str],
    explanations: &'static [&'static str],
}

impl Section {
    const fn of<S: DocumentedFields>(name: &'static str) -> Self {
        Self { name, names: S::FIELD_NAMES, explanations: S::FIELD_DOCS }
    }

    /// What the section is about; empty for the settings outside of sections.
    pub fn about(&self) -> &'static str {
        let explanation = match self.name.split_once('.') {
            Some(("watch", name)) => WatchSettings::get_field_docs(name),
            Some(_) | None => Settings::get_field_docs(self.name),
        };
        explanation.unwrap_or_default()
    }

    /// The settings, each with its explanation in Markdown, in the order of their declaration.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.names.iter().copied().zip(self.explanations.iter().copied())
    }
}

/// All sections of the settings file. The names of the sections are among the settings of the first one, which has none
/// itself.
pub const fn sections() -> [Section; 20] {
    [
        Section::of::<Settings>(""),
        Section::of::<ServerSettings>("server"),
        Section::of::<DatabaseSettings>("database"),
        Section::of::<PoolSettings>("pool"),
        Section::of::<GateSettings>("gate"),
        Section::of::<WatchSettings>("watch"),
        Section::of::<MetricNames>("watch.metrics"),
        Section::of::<UpstreamSettings>("upstream"),
        Section::of::<GatewaySettings>("gateway"),
        Section::of::<HaProxyAgentSettings>("haproxy_agent"),
        Section::of::<ControlSettings>("control"),
        Section::of::<MonitorSettings>("monitor"),
        Section::of::<ThresholdSettings>("thresholds"),
        Section::of::<AlertSettings>("alerts"),
        Section::of::<EventSettings>("events"),
        Section::of::<CleanupSettings>("cleanup"),
        Section::of::<SizingSettings>("sizing"),
        Section::of::<ClusterSettings>("cluster"),
        Section::of::<OtlpSettings>("otlp"),
        Section::of::<DemoSettings>("demo"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_is_explained() {
        let explained: BTreeSet<_> = sections()
            .iter()
            .flat_map(|section| section.settings().map(|(name, _)| (section.name.to_owned(), name.to_owned())))
            .collect();
        let settings = serde_json::to_value(Settings::default()).expect("encoded");
        let mut known = BTreeSet::new();
        for (name, value) in settings.as_object().expect("an object") {
            known.insert((String::new(), name.clone()));
            for (setting, value) in value.as_object().into_iter().flatten() {
                known.insert((name.clone(), setting.clone()));
                let nested = value.as_object().into_iter().flatten();
                known.extend(nested.map(|(nested, _)| (format!("{name}.{setting}"), nested.clone())));
            }
        }
        assert_eq!(explained, known, "a section is missing in sections()");
        for section in sections().iter().skip(1) {
            assert!(!section.about().is_empty(), "{}", section.name);
        }
    }
}
