/// Which part of a list is wanted.
#[derive(Debug, Clone)]
pub struct Page<C> {
    /// How many items at most; at least one.
    pub limit: u32,
    /// Where the page before ended; `None` for the first.
    pub after: Option<C>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T, C> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<C>,
}

impl<C> Page<C> {
    /// How many rows to fetch: one more than wanted, to know whether there is another page.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit.max(1)) + 1
    }

    /// Makes the page from the rows fetched.
    pub(crate) fn cut<T>(&self, mut items: Vec<T>, cursor: impl Fn(&T) -> C) -> Listed<T, C> {
        let limit = usize::try_from(self.limit.max(1)).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Listed { items, next }
    }
}
