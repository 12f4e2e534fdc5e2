//! Lists in pages.

use super::{
    asked::Asked,
    filter::{Filter, Order, Searched},
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

/// A page of a list as it stands. A token is how many came before.
pub(super) fn paged<T>(
    asked: &Asked,
    items: Vec<T>,
    (usual, most): (usize, usize),
) -> Result<Page<T>, Refusal> {
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
        token.parse::<usize>().map_err(wrong)
    })?;
    let end = from.saturating_add(wanted);
    let next = (end < items.len()).then(|| end.to_string());
    let items = items.into_iter().skip(from).take(wanted).collect();
    Ok(Page { items, next })
}
