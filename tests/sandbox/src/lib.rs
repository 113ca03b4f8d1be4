//! A real Kubernetes control plane without containers, for First Aid's tests and demo.
//!
//! [`Sandbox::start`] runs etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK (which plays the
//! nodes), each as a process of its own on free ports of 127.0.0.1, with a data folder of their own: any number of
//! sandboxes run side by side. Set-up goes through the real `kubectl` and `helm`, as people use them.
//!
//! Nothing outlives its starter. Each process holds one end of a pipe (its standard input) whose other end is held
//! here, and ends when the pipe closes, however this process ends: by `SIGKILL` too.

mod alertmanager;
mod api_server;
mod furnish;
mod http;
mod identity;
mod install;
mod kubectl;
mod operator;
mod people;
mod ports;
mod process;
mod programs;
mod sandbox;
mod shop;
mod waiting;

pub use alertmanager::Alertmanager;
pub use furnish::firstaid_program;
pub use install::repository;
pub use kubectl::Output;
pub use operator::Operator;
pub use people::{PEOPLE, Person};
pub use programs::Programs;
pub use sandbox::{Options, Sandbox};
pub use waiting::poll;
