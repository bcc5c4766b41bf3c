//! The importance of a request, for the queues of client and gate.

/// How important a request is. A higher priority goes first; each queue keeps the lower ones from starving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// No user waits for the answer: prefetching, telemetry, reports, synchronisation.
    Low,
    /// Everything that nothing else is known of.
    #[default]
    Normal,
    /// A user waits for the answer and looks at the place where it will appear.
    High,
    /// The app does not work without it: sign-in, payment.
    Critical,
}

impl Priority {
    /// All priorities, the most important first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];
}
