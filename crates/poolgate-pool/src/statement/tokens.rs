//! Splits a statement into words and punctuation; literals and comments are skipped.

use super::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A word without quotes, as written.
    Word(&'s str),
    /// An identifier in quotes, without them.
    Quoted(&'s str),
    Open,
    Close,
    Comma,
    Dot,
    Equals,
    Semicolon,
    /// A literal, a number, a parameter, another operator.
    Other,
    /// A literal or a comment without an end.
    Cut,
}

/// Reads a text once, from beginning to end, without copying.
pub(super) struct Tokens<'s> {
    text: &'s str,
    at: usize,
    dialect: Dialect,
}

impl<'s> Tokens<'s> {
    pub(super) fn of(text: &'s str, dialect: Dialect) -> Self {
        Self { text, at: 0, dialect }
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn rest(&self, from: usize) -> &'s str {
        self.text.get(from..).unwrap_or("")
    }

    /// Moves behind the next `end`, or to the end of the text; returns whether it was found.
    fn skip_behind(&mut self, from: usize, end: &str) -> bool {
        let found = self.rest(from).find(end);
        self.at = found.map_or(self.text.len(), |found| from + found + end.len());
        found.is_some()
    }

    /// Moves behind the quote that closes the one at `self.at`; a doubled quote is an escaped one.
    fn skip_quoted(&mut self, quote: u8, escapes: bool) -> bool {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\\' if escapes => at += 1,
                byte if byte == quote && self.byte(at + 1) == quote => at += 1,
                byte if byte == quote => {
                    self.at = at + 1;
                    return true;
                }
                _ => {}
            }
            at += 1;
        }
        self.at = bytes.len();
        false
    }

    fn quoted(&mut self, close: u8) -> Token<'s> {
        let from = self.at + 1;
        match self.skip_quoted(close, false) {
            true => Token::Quoted(self.text.get(from..self.at - 1).unwrap_or("")),
            false => Token::Cut,
        }
    }

    fn literal(&mut self, escapes: bool) -> Token<'s> {
        if self.skip_quoted(b'\'', escapes) { Token::Other } else { Token::Cut }
    }

    /// Skips `/* … */`; in PostgreSQL they nest.
    fn skip_comment(&mut self) -> bool {
        if self.dialect == Dialect::Sqlite {
            return self.skip_behind(self.at + 2, "*/");
        }
        let bytes = self.text.as_bytes();
        let mut depth = 0_u32;
        while self.at < bytes.len() {
            match (self.byte(self.at), self.byte(self.at + 1)) {
                (b'/', b'*') => depth += 1,
                (b'*', b'/') => depth -= 1,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return true;
            }
        }
        false
    }

    /// `$tag$ … $tag$`, or a parameter such as `$1`.
    fn dollar(&mut self) -> Token<'s> {
        let tag = self.rest(self.at + 1);
        let length = tag.bytes().take_while(|byte| is_word(*byte) && *byte != b'$').count();
        let opens = self.dialect == Dialect::Postgres
            && tag.as_bytes().get(length) == Some(&b'$')
            && !tag.starts_with(|c: char| c.is_ascii_digit());
        if !opens {
            self.at += 1 + length;
            return Token::Other;
        }
        let tag = &self.rest(self.at)[..length + 2];
        if self.skip_behind(self.at + tag.len(), tag) { Token::Other } else { Token::Cut }
    }

    fn word(&mut self) -> Token<'s> {
        let from = self.at;
        let length = self.text.as_bytes()[from..].iter().take_while(|byte| is_word(**byte)).count();
        self.at += length;
        let word = self.text.get(from..self.at).unwrap_or("");
        match (word, self.byte(self.at)) {
            // E'it\'s'
            ("e" | "E", b'\'') if self.dialect == Dialect::Postgres => self.literal(true),
            ("n" | "N" | "b" | "B" | "x" | "X", b'\'') => self.literal(false),
            _ => Token::Word(word),
        }
    }
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            let sqlite = self.dialect == Dialect::Sqlite;
            let token = match byte {
                _ if byte.is_ascii_whitespace() => {
                    self.at += 1;
                    continue;
                }
                b'-' if self.byte(self.at + 1) == b'-' => {
                    // In PostgreSQL a carriage return ends it as well.
                    let end = self.rest(self.at).find(['\n', '\r']);
                    self.at = end.map_or(self.text.len(), |end| self.at + end);
                    continue;
                }
                b'/' if self.byte(self.at + 1) == b'*' => match self.skip_comment() {
                    true => continue,
                    false => return Some(Token::Cut),
                },
                b'\'' => return Some(self.literal(false)),
                b'"' => return Some(self.quoted(b'"')),
                b'`' if sqlite => return Some(self.quoted(b'`')),
                b'[' if sqlite => return Some(self.quoted(b']')),
                b'$' => return Some(self.dollar()),
                b'0'..=b'9' => {
                    self.word();
                    return Some(Token::Other);
                }
                _ if is_word(byte) => return Some(self.word()),
                b'(' => Token::Open,
                b')' => Token::Close,
                b',' => Token::Comma,
                b'.' => Token::Dot,
                b'=' => Token::Equals,
                b';' => Token::Semicolon,
                _ => Token::Other,
            };
            self.at += 1;
            return Some(token);
        }
    }
}

/// Characters of identifiers: letters of every alphabet, digits, `_` and `$`.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sql: &str, dialect: Dialect) -> String {
        let shown = Tokens::of(sql, dialect).map(|token| match token {
            Token::Word(word) => word.to_owned(),
            Token::Quoted(word) => format!("<{word}>"),
            Token::Cut => "CUT".to_owned(),
            Token::Other => "_".to_owned(),
            Token::Open => "(".to_owned(),
            Token::Close => ")".to_owned(),
            Token::Comma => ",".to_owned(),
            Token::Dot => ".".to_owned(),
            Token::Equals => "=".to_owned(),
            Token::Semicolon => ";".to_owned(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn literals_and_comments_hold_no_words() {
        for (sql, seen) in [
            ("SELECT 'SET x', E'it\\'s SET', N'a''b' -- SET\n, b", "SELECT _ , _ , _ , b"),
            ("SELECT $$ SET $$, $a$ $$ SET $b$ $a$, $1", "SELECT _ , _ , _"),
            ("/* a /* nested */ SET */ SELECT a$b", "SELECT a$b"),
            ("SELECT \"SET\"\"x\", täg(1.5)", "SELECT <SET\"\"x> , täg ( _ _ _ )"),
            ("SELECT 'never closed", "SELECT CUT"),
            ("-- a\rSET b -- c\nd --", "SET b d"),
            ("SELECT 1 /* never /* closed */", "SELECT _ CUT"),
            ("a;b=c.d", "a ; b = c . d"),
            ("", ""),
        ] {
            assert_eq!(words(sql, Dialect::Postgres).replace("_ . _", "_ _ _"), seen, "{sql}");
        }
        assert_eq!(words("SELECT [a b], `c`, $x /* /* */ d", Dialect::Sqlite), "SELECT <a b> , <c> , _ d");
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_to_its_end(sql in ".{0,60}", tricky in "[-'\"$/*;().a\\\\]{0,30}") {
            for dialect in [Dialect::Postgres, Dialect::Sqlite] {
                for text in [&sql, &tricky] {
                    proptest::prop_assert!(Tokens::of(text, dialect).count() <= text.len());
                }
            }
        }
    }
}
