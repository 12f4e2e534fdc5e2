//! What is done again with a task: all downstream, and the setups whose work was put away.

use super::Graph;

impl Graph {
    /// Whether each task is one of these or downstream of one, by position; one walk for all.
    pub fn with_descendants(&self, tasks: impl IntoIterator<Item = usize>) -> Vec<bool> {
        self.reached(tasks, Self::downstream)
    }

    /// Whether each task is one of these or upstream of one, by position; one walk for all.
    pub fn with_ancestors(&self, tasks: impl IntoIterator<Item = usize>) -> Vec<bool> {
        self.reached(tasks, Self::upstream)
    }

    fn reached<'a>(
        &'a self,
        tasks: impl IntoIterator<Item = usize>,
        next: impl Fn(&'a Self, usize) -> &'a [usize],
    ) -> Vec<bool> {
        let mut reached = vec![false; self.nodes().len()];
        let mut stack: Vec<usize> = tasks.into_iter().collect();
        while let Some(task) = stack.pop() {
            if !std::mem::replace(&mut reached[task], true) {
                stack.extend(next(self, task));
            }
        }
        reached
    }

    /// Chooses the setups too whose teardown is to run again for work between the two: what they
    /// had prepared was put away, which `put_away` tells of a teardown. Their other teardowns run
    /// again as well, with all downstream.
    pub fn choose_setups(&self, chosen: &mut [bool], put_away: impl Fn(usize) -> bool) {
        let pairs = self.pairs();
        loop {
            let missing = pairs.iter().find(|&&(setup, teardown)| {
                !chosen[setup]
                    && chosen[teardown]
                    && put_away(teardown)
                    && self.works_between(setup, teardown, chosen)
            });
            let Some(&(setup, _)) = missing else {
                return;
            };
            chosen[setup] = true;
            let teardowns = pairs.iter().filter(|pair| pair.0 == setup);
            let below = self.with_descendants(teardowns.map(|pair| pair.1));
            for (position, below) in below.into_iter().enumerate() {
                chosen[position] |= below;
            }
        }
    }

    /// Each teardown with the setups that it puts away: those directly upstream, or where there
    /// are none, all upstream.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let nodes = self.nodes();
        let is_setup = |&position: &usize| nodes[position].setup && nodes[position].shard.is_none();
        let mut pairs = Vec::new();
        for (teardown, node) in nodes.iter().enumerate() {
            if !node.teardown || node.shard.is_some() {
                continue;
            }
            let direct = match self.shards(teardown) {
                [first, ..] => self.upstream(*first),
                [] => self.upstream(teardown),
            };
            let mut setups: Vec<usize> = direct.iter().copied().filter(is_setup).collect();
            if setups.is_empty() {
                setups = self.ancestors(teardown);
                setups.retain(is_setup);
            }
            pairs.extend(setups.into_iter().map(|setup| (setup, teardown)));
        }
        pairs
    }

    /// Whether work that is chosen needs what a setup prepares and a teardown puts away.
    fn works_between(&self, setup: usize, teardown: usize, chosen: &[bool]) -> bool {
        let (below, above) = (
            self.with_descendants([setup]),
            self.with_ancestors([teardown]),
        );
        (0..chosen.len()).any(|position| {
            let is_work = position != setup && !self.nodes()[position].teardown;
            chosen[position] && is_work && below[position] && above[position]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::Node;

    fn graph(tasks: &[(&str, &[&str])]) -> Graph {
        let nodes = tasks.iter().map(|(id, after)| Node {
            id: (*id).to_owned(),
            op: "noop".to_owned(),
            after: after.iter().map(|&name| name.to_owned()).collect(),
            setup: id.starts_with("make"),
            teardown: id.starts_with("tidy"),
            ..Node::default()
        });
        Graph::new(nodes.collect()).unwrap()
    }

    /// The tasks that run again with these and all downstream of them.
    fn again(graph: &Graph, tasks: &[&str], put_away: bool) -> Vec<String> {
        let positions = tasks.iter().map(|task| graph.position(task).unwrap());
        let mut chosen = graph.with_descendants(positions);
        graph.choose_setups(&mut chosen, |_| put_away);
        let ids = graph.nodes().iter().zip(chosen);
        ids.filter(|(_, chosen)| *chosen)
            .map(|(node, _)| node.id.clone())
            .collect()
    }

    #[test]
    fn work_is_done_again_with_its_setup() {
        let graph = graph(&[
            ("first", &[]),
            ("make", &["first"]),
            ("work", &["make"]),
            ("other", &["make"]),
            ("tidy", &["make", "work", "other"]),
        ]);
        assert_eq!(again(&graph, &["work"], true), ["make", "work", "tidy"]);
        // What was prepared is there still, or nothing needs it.
        assert_eq!(again(&graph, &["work"], false), ["work", "tidy"]);
        assert_eq!(again(&graph, &["tidy"], true), ["tidy"]);
    }

    #[test]
    fn a_teardown_puts_away_all_above_it_where_it_names_no_setup() {
        let graph = graph(&[("make", &[]), ("work", &["make"]), ("tidy", &["work"])]);
        assert_eq!(again(&graph, &["work"], true), ["make", "work", "tidy"]);
    }

    #[test]
    fn setups_of_setups_and_all_their_teardowns_run_again() {
        let graph = graph(&[
            ("make1", &[]),
            ("make2", &["make1"]),
            ("work", &["make2"]),
            ("side", &["make2"]),
            ("tidy2", &["make2", "work"]),
            ("tidy3", &["make2", "side"]),
            ("tidy1", &["make1", "make2", "tidy3"]),
        ]);
        let ids = again(&graph, &["work"], true);
        assert_eq!(ids, ["make1", "make2", "work", "tidy2", "tidy3", "tidy1"]);
    }

    #[test]
    fn walks_from_all_at_once() {
        let graph = graph(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["c"])]);
        assert_eq!(graph.with_descendants([1, 2]), [false, true, true, true]);
        assert_eq!(graph.with_ancestors([1, 2]), [true, true, true, false]);
    }
}
