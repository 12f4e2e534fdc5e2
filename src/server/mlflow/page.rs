//! Lists in pages.

use super::{
    asked::Asked,
    filter::{Filter, Searched},
    order::Order,
    refusal::Refusal,
};

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// What of `items` is asked for by `filter`, `order_by`, `max_results` and `page_token`.
pub(super) fn searched<T: Searched>(
    asked: &Asked,
    items: Vec<T>,
    (usual, most): (usize, usize),
) -> Result<Page<T>, Refusal> {
    let filter = Filter::read::<T>(asked.text("filter"))?;
    let order = Order::read::<T>(&asked.texts("order_by"))?;
    let taken = items
        .into_iter()
        .filter(|item| filter.takes(item))
        .collect();
    paged(asked, order.sorted(taken), (usual, most))
}

/// A page of a list as it stands.
pub(super) fn paged<T>(
    asked: &Asked,
    items: Vec<T>,
    limits: (usize, usize),
) -> Result<Page<T>, Refusal> {
    let window = Window::asked(asked, limits)?;
    Ok(window.cut(items.into_iter().skip(window.from).collect()))
}

/// Which part of a list is asked for. A token is how many came before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// How many come before.
    pub(super) from: usize,
    /// How many are wanted.
    pub(super) wanted: usize,
}

impl Window {
    /// What `max_results` and `page_token` ask for.
    pub(super) fn asked(asked: &Asked, (usual, most): (usize, usize)) -> Result<Self, Refusal> {
        let wanted = match asked.number("max_results")? {
            None => usual,
            Some(wanted) => usize::try_from(wanted)
                .ok()
                .filter(|wanted| (1..=most).contains(wanted))
                .ok_or_else(|| {
                    Refusal::invalid(format!(
                        "Invalid value {wanted} for parameter 'max_results': write 1 to {most}"
                    ))
                })?,
        };
        let from = asked.text("page_token").map_or(Ok(0), |token| {
            let wrong = |_| Refusal::invalid(format!("Invalid page token `{token}`"));
            token.parse::<u32>().map_err(wrong)
        })?;
        Ok(Self {
            from: usize::try_from(from).unwrap_or(usize::MAX),
            wanted,
        })
    }

    /// The page, of a list that begins with it and goes on behind it where there is more.
    pub(super) fn cut<T>(self, mut items: Vec<T>) -> Page<T> {
        let is_more = items.len() > self.wanted;
        items.truncate(self.wanted);
        Page {
            items,
            next: is_more.then(|| (self.from + self.wanted).to_string()),
        }
    }
}
