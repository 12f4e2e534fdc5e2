//! The communities of the simulated Reddit, and who lives there.

use super::dice::{Dice, Purpose};

/// What the images of a community show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scene {
    /// Shapes upon shapes.
    Abstract,
    /// Creatures with eyes.
    Creatures,
    /// Houses with windows.
    Street,
    /// Hills below a sky.
    Landscape,
}

/// A community.
#[derive(Debug)]
pub(super) struct Community {
    /// Its name, as it stands after `/r/`.
    pub(super) name: &'static str,
    /// Its number, as in `t5_…`.
    pub(super) id: &'static str,
    /// Its part of all posts.
    pub(super) share: f64,
    /// How much it helps a post, on a scale of its own.
    pub(super) quality: f64,
    /// How many people read it; it never changes.
    pub(super) subscribers: u32,
    /// What its images show.
    pub(super) scene: Scene,
    /// The flair of some of its posts.
    pub(super) flair: &'static str,
    /// What its titles are about; no subject is better than another.
    pub(super) subjects: &'static [&'static str],
}

/// All communities.
pub(super) const COMMUNITIES: &[Community] = &[
    Community {
        name: "art",
        id: "2qh7a",
        share: 0.22,
        quality: -1.0,
        subscribers: 22_412_906,
        scene: Scene::Abstract,
        flair: "Artwork",
        subjects: &[
            "a charcoal portrait of a violinist",
            "an oil painting of a harbour",
            "a watercolour of autumn leaves",
            "a linocut of two herons",
            "a mural on the school wall",
            "an ink drawing of a lighthouse",
            "a clay sculpture of a hand",
            "a pastel study of lemons",
            "an acrylic galaxy on canvas",
            "a woodcut of a sleeping town",
            "a stained glass window",
            "a collage of old maps",
            "a gouache landscape",
            "a bronze figure of a dancer",
            "an abstract canvas in layers",
            "a pencil sketch of a market",
            "a digital painting of a castle",
            "an embroidered forest",
        ],
    },
    Community {
        name: "aww",
        id: "2qh1o",
        share: 0.28,
        quality: 1.0,
        subscribers: 37_118_240,
        scene: Scene::Creatures,
        flair: "Cute",
        subjects: &[
            "this golden retriever puppy",
            "a sleepy tabby kitten",
            "two baby goats",
            "our fluffy rabbit",
            "a tiny hedgehog",
            "a family of ducklings",
            "the neighbour's corgi",
            "a curious baby raccoon",
            "three newborn lambs",
            "a parrot named Mango",
            "a ginger cat in a box",
            "our clumsy Great Dane",
            "a hamster with full cheeks",
            "a foal in the meadow",
            "a snoring bulldog",
            "a baby otter",
            "the barn owl chicks",
            "a dachshund in a raincoat",
        ],
    },
    Community {
        name: "pics",
        id: "2qh0u",
        share: 0.30,
        quality: 0.3,
        subscribers: 31_560_411,
        scene: Scene::Street,
        flair: "Photo",
        subjects: &[
            "the old tram line downtown",
            "a corner bakery at dawn",
            "the library staircase",
            "a row of painted houses",
            "the abandoned cinema",
            "a rooftop garden",
            "the harbour cranes",
            "a narrow street in Lisbon",
            "the night market",
            "a phone box full of books",
            "the railway bridge",
            "a shop window in winter",
            "the clock tower",
            "a fountain on the square",
            "the town hall after rain",
            "a bicycle by a blue door",
            "the subway entrance",
            "an empty stadium",
        ],
    },
    Community {
        name: "earthporn",
        id: "2sbq3",
        share: 0.20,
        quality: -0.3,
        subscribers: 23_805_377,
        scene: Scene::Landscape,
        flair: "OC",
        subjects: &[
            "a foggy valley in Norway",
            "the dunes of Namibia",
            "a waterfall in Iceland",
            "the cliffs of Moher",
            "a glacier lake in the Alps",
            "red rocks in Utah",
            "the coast of Oregon",
            "a birch forest in Finland",
            "rice terraces in Vietnam",
            "a volcano in Ecuador",
            "the Scottish Highlands",
            "a canyon in Arizona",
            "lavender fields in Provence",
            "the peaks of Patagonia",
            "a beach in New Zealand",
            "the steppe of Mongolia",
            "a river bend in Slovenia",
            "northern lights over Lapland",
        ],
    },
];

/// The place in [`COMMUNITIES`] of the community of this name, in any case.
pub(super) fn community_named(name: &str) -> Option<usize> {
    COMMUNITIES
        .iter()
        .position(|community| community.name.eq_ignore_ascii_case(name))
}

/// How many people post.
pub(super) const AUTHORS: u32 = 420;

/// Somebody who posts.
#[derive(Clone, Debug)]
pub(super) struct Author {
    /// The name.
    pub(super) name: String,
    /// How often, in relation to the others.
    pub(super) activity: f64,
    /// How much it helps a post that this author made it, not yet standardised.
    pub(super) quality: f64,
    /// Karma for links and for comments.
    pub(super) karma: (u64, u64),
}

/// All authors of a world.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "karma is a rounded positive number"
)]
pub(super) fn authors(seed: u64) -> Vec<Author> {
    (0..AUTHORS)
        .map(|number| {
            let mut dice = Dice::new(seed, Purpose::Author, (0, number));
            let (first, second) = (dice.pick(FIRST), dice.pick(SECOND));
            Author {
                name: format!("{first}_{second}{number}"),
                activity: 1.0 / (6.0 + f64::from(number)).sqrt(),
                quality: dice.normal(),
                karma: (
                    dice.between(3.0, 12.0).exp() as u64,
                    dice.between(2.0, 11.0).exp() as u64,
                ),
            }
        })
        .collect()
}

const FIRST: &[&str] = &[
    "mossy", "quiet", "rusty", "amber", "frosty", "velvet", "lunar", "paper", "copper", "silver",
    "dusty", "tidal", "crimson", "hollow", "gentle", "wild", "salty", "misty",
];

const SECOND: &[&str] = &[
    "lantern", "otter", "kettle", "falcon", "harbor", "pebble", "walnut", "comet", "meadow",
    "thimble", "raven", "compass", "biscuit", "willow", "marble", "sparrow", "anchor", "clover",
];
