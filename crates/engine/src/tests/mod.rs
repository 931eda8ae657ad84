//! Tests of the engine with a scripted provider, over the in-memory store and on paused
//! time.

mod budgets;
mod circuits;
mod conversations;
mod crash;
mod deployed_agents;
mod faulty_store;
mod fixture;
mod flaky_gateway;
mod judge;
mod leases;
mod limits;
mod logs;
mod machine_pause;
mod metrics;
mod outages;
mod rate_limits;
mod rejudging;
mod run_ends;
mod throughput;
mod truncation;
mod unavailable_store;
mod variables;
mod waiting;
