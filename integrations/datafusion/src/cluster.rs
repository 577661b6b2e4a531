//! JavaScript functions on the machines of a [Ballista](ballista_core) cluster.
//!
//! The definition of a function travels in the plan, so only the client makes it: nothing is registered in a scheduler or an
//! executor. All of them have to read JavaScript functions in plans, which [`logical_codec`] and [`physical_codec`] do. The
//! functions here set a cluster up with both. A program with settings of its own gives the codecs to Ballista:
//! `SchedulerConfig` and `ExecutorProcessConfig` take them as overrides, and `SessionConfigExt` has a function for each.
//!
//! Run the same version of this crate everywhere: a plan of another version is an error. As everywhere in Ballista, all see
//! the same files. Call [`start`](crate::offheap_v8::start) in an executor before its runtime makes threads.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use ballista::prelude::{SessionConfigExt, SessionContextExt};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;

use crate::JavaScript;
use crate::codec::{Logical, Physical};

/// How often an executor says that it lives, and when a scheduler thinks that it does not.
const HEARTBEAT_SECONDS: u64 = 5;
const TIMEOUT_SECONDS: u64 = 20;

/// Ballista's codec for logical plans, which also writes and reads JavaScript functions.
pub fn logical_codec() -> Arc<dyn LogicalExtensionCodec> {
    Arc::new(Logical::default())
}

/// Ballista's codec for physical plans, which also writes and reads JavaScript functions.
pub fn physical_codec() -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(Physical::default())
}

/// Is the scheduler of a cluster, at this address, until an error.
///
/// # Errors
/// Those of Ballista, for example for an address that is in use.
pub async fn scheduler(address: SocketAddr) -> Result<()> {
    let config = SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        executor_timeout_seconds: TIMEOUT_SECONDS,
        no_executors_grace_period_seconds: TIMEOUT_SECONDS,
        expire_dead_executor_interval_seconds: HEARTBEAT_SECONDS,
        override_logical_codec: Some(logical_codec()),
        override_physical_codec: Some(physical_codec()),
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(external)?;
    start_server(cluster, address, Arc::new(config)).await.map_err(external)
}

/// Is an executor of the scheduler at this address, until an error. It has a partition for each processor, and listens on two
/// free ports of the address from which this machine reaches the scheduler.
///
/// # Errors
/// Those of Ballista, for example if the scheduler cannot be reached.
pub async fn executor(scheduler: SocketAddr) -> Result<()> {
    let own = own_address(scheduler)?;
    let config = ExecutorProcessConfig {
        bind_host: own.to_string(),
        external_host: Some(own.to_string()),
        port: free_port(own)?,
        grpc_port: free_port(own)?,
        scheduler_host: scheduler.ip().to_string(),
        scheduler_port: scheduler.port(),
        executor_heartbeat_interval_seconds: HEARTBEAT_SECONDS,
        override_logical_codec: Some(logical_codec()),
        override_physical_codec: Some(physical_codec()),
        ..ExecutorProcessConfig::default()
    };
    start_executor_process(Arc::new(config)).await.map_err(external)
}

/// A session whose queries run on the cluster of the scheduler at `url`, such as `df://10.0.0.1:50050`. It has JavaScript
/// [installed](JavaScript::install).
///
/// # Errors
/// Those of Ballista, for example for text that is no URL. The scheduler is first asked with the first query.
pub async fn connect(url: &str) -> Result<SessionContext> {
    let config = SessionConfig::new_with_ballista()
        .with_ballista_logical_extension_codec(logical_codec())
        .with_ballista_physical_extension_codec(physical_codec());
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    SessionContext::remote_with_state(url, JavaScript::install(builder).build()).await
}

fn own_address(scheduler: SocketAddr) -> Result<IpAddr> {
    let any: SocketAddr = if scheduler.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    // Nothing is sent: the system only chooses the route.
    let socket = UdpSocket::bind(any)?;
    socket.connect(scheduler)?;
    Ok(socket.local_addr()?.ip())
}

fn free_port(own: IpAddr) -> Result<u16> {
    Ok(TcpListener::bind((own, 0))?.local_addr()?.port())
}

fn external(error: ballista_core::error::BallistaError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
