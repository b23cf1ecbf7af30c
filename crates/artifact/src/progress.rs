//! How long work tells whoever waits for it what it is doing.

/// Hears of progress. Implemented by closures and, for nobody listening, by `()`.
pub trait Progress: Sync {
    /// `text` says what is being done now; `fraction` how much of the whole is done, where that is known.
    fn step(&self, text: &str, fraction: Option<f32>);
}

impl Progress for () {
    fn step(&self, _text: &str, _fraction: Option<f32>) {}
}

impl<F: Fn(&str, Option<f32>) + Sync> Progress for F {
    fn step(&self, text: &str, fraction: Option<f32>) {
        self(text, fraction);
    }
}
