//! Which communities share a listing: quiet ones, so that one call reads many.

/// The most names in one listing, and the most letters of them; verified by others with Reddit.
const NAMES: usize = 40;
const LETTERS: usize = 360;

/// Divides communities into groups that are asked for together, in their order.
pub(super) fn packs<'a>(communities: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut packs: Vec<Vec<&str>> = Vec::new();
    let mut letters = 0;
    for name in communities {
        let fits = letters + 1 + name.len() <= LETTERS;
        match packs.last_mut() {
            Some(pack) if pack.len() < NAMES && fits => {
                letters += 1 + name.len();
                pack.push(name);
            }
            _ => {
                letters = name.len();
                packs.push(vec![name]);
            }
        }
    }
    packs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_as_large_as_reddit_takes() {
        let names: Vec<String> = (0..100).map(|n| format!("c{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = packs(&names);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [40, 40, 20]);
        assert_eq!(found.concat(), names, "none is lost, and the order stays");
        let long = "x".repeat(100);
        let found = packs(&[long.as_str(); 5]);
        assert!(found.iter().all(|pack| pack.join("+").len() <= LETTERS));
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
        assert!(packs(&[]).is_empty());
    }
}
