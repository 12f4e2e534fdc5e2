//! The pure DAG: graph, states, plan.
