//! The methods of one small message each way.

use grpc_messages::inference as messages;

use super::super::models::{self, ModelConfig, TensorConfig, TensorMetadata};
use super::super::repository::wanted;
use super::super::server::{self, EXTENSIONS};
use super::super::statistics::{self, Duration, ModelStatistics};
use super::super::target::Target;
use super::super::{index, server::NAME};
use crate::error::{Error, Result};
use crate::transport::App;

fn target(name: String, version: String) -> Target {
    let version = Some(version).filter(|version| !version.is_empty());
    Target { name, version }
}

pub(super) fn live(_: &App, _: messages::ServerLiveRequest) -> Result<messages::ServerLiveResponse> {
    Ok(messages::ServerLiveResponse { live: true })
}

pub(super) fn ready(app: &App, _: messages::ServerReadyRequest) -> Result<messages::ServerReadyResponse> {
    let ready = app.service.ready().is_ok();
    Ok(messages::ServerReadyResponse { ready })
}

/// Not found is an answer here, since the question is whether it is there.
pub(super) fn model_ready(
    app: &App,
    asked: messages::ModelReadyRequest,
) -> Result<messages::ModelReadyResponse> {
    match server::ready_model(app, &target(asked.name, asked.version)) {
        Ok(_) => Ok(messages::ModelReadyResponse { ready: true }),
        Err(Error::ModelNotFound(_) | Error::NotReady(_)) => {
            Ok(messages::ModelReadyResponse { ready: false })
        }
        Err(other) => Err(other),
    }
}

pub(super) fn metadata(
    _: &App,
    _: messages::ServerMetadataRequest,
) -> Result<messages::ServerMetadataResponse> {
    Ok(messages::ServerMetadataResponse {
        name: NAME.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        extensions: EXTENSIONS.map(str::to_owned).into(),
    })
}

pub(super) async fn model_metadata(
    app: App,
    asked: messages::ModelMetadataRequest,
) -> Result<messages::ModelMetadataResponse> {
    let found = models::described(&app, &target(asked.name, asked.version))
        .await?
        .0;
    let tensors = |tensors: Vec<TensorMetadata>| {
        let tensors = tensors.into_iter();
        let tensors = tensors.map(|tensor| messages::model_metadata_response::TensorMetadata {
            name: tensor.name,
            datatype: tensor.datatype.into(),
            shape: tensor.shape,
        });
        tensors.collect()
    };
    Ok(messages::ModelMetadataResponse {
        name: found.name,
        versions: found.versions,
        platform: found.platform.into(),
        inputs: tensors(found.inputs),
        outputs: tensors(found.outputs),
    })
}

pub(super) async fn model_config(
    app: App,
    asked: messages::ModelConfigRequest,
) -> Result<messages::ModelConfigResponse> {
    let found = models::configured(&app, &target(asked.name, asked.version))
        .await?
        .0;
    Ok(messages::ModelConfigResponse {
        config: Some(config(found)),
    })
}

fn config(found: ModelConfig) -> messages::ModelConfig {
    let data_type = |tensor: &TensorConfig| {
        let known = messages::DataType::from_str_name(&tensor.data_type);
        known.unwrap_or_default() as i32
    };
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let inputs = found.input.into_iter().map(|tensor| messages::ModelInput {
        data_type: data_type(&tensor),
        name: tensor.name,
        dims: tensor.dims,
    });
    let outputs = found.output.into_iter().map(|tensor| messages::ModelOutput {
        data_type: data_type(&tensor),
        name: tensor.name,
        dims: tensor.dims,
    });
    let groups = found.instance_group.into_iter();
    let groups = groups.map(|group| messages::ModelInstanceGroup {
        name: group.name,
        count: count(group.count),
        kind: messages::model_instance_group::Kind::from_str_name(group.kind).unwrap_or_default() as i32,
    });
    messages::ModelConfig {
        name: found.name,
        platform: found.platform.into(),
        backend: found.backend.into(),
        max_batch_size: count(found.max_batch_size),
        input: inputs.collect(),
        output: outputs.collect(),
        instance_group: groups.collect(),
        dynamic_batching: found
            .dynamic_batching
            .map(|batching| messages::ModelDynamicBatching {
                max_queue_delay_microseconds: batching.max_queue_delay_microseconds,
            }),
    }
}

pub(super) fn model_statistics(
    app: &App,
    asked: messages::ModelStatisticsRequest,
) -> Result<messages::ModelStatisticsResponse> {
    let found = match asked.name.is_empty() {
        true => statistics::of_all(app),
        false => statistics::of_one(app, &target(asked.name, asked.version))?.0,
    };
    Ok(messages::ModelStatisticsResponse {
        model_stats: counted(found),
    })
}

fn counted(found: ModelStatistics) -> Vec<messages::ModelStatistics> {
    let duration = |sum: Duration| {
        Some(messages::StatisticDuration {
            count: sum.count,
            ns: sum.ns,
        })
    };
    let models = found.model_stats.into_iter().map(|model| {
        let all = model.inference_stats;
        let batches = model.batch_stats.into_iter();
        messages::ModelStatistics {
            name: model.name,
            version: model.version,
            last_inference: model.last_inference,
            inference_count: model.inference_count,
            execution_count: model.execution_count,
            inference_stats: Some(messages::InferStatistics {
                success: duration(all.success),
                fail: duration(all.fail),
                queue: duration(all.queue),
                compute_input: duration(all.compute_input),
                compute_infer: duration(all.compute_infer),
                compute_output: duration(all.compute_output),
                cache_hit: duration(all.cache_hit),
                cache_miss: duration(all.cache_miss),
            }),
            batch_stats: batches
                .map(|batch| messages::InferBatchStatistics {
                    batch_size: batch.batch_size as u64,
                    compute_input: duration(batch.compute_input),
                    compute_infer: duration(batch.compute_infer),
                    compute_output: duration(batch.compute_output),
                })
                .collect(),
        }
    });
    models.collect()
}

#[expect(clippy::needless_pass_by_value, reason = "as every method gets its message")]
pub(super) fn repository_index(
    app: &App,
    asked: messages::RepositoryIndexRequest,
) -> Result<messages::RepositoryIndexResponse> {
    let models = index::listed(app, asked.ready).into_iter();
    let models = models.map(|model| messages::repository_index_response::ModelIndex {
        name: model.name,
        version: model.version,
        state: model.state.into(),
        reason: model.reason,
    });
    Ok(messages::RepositoryIndexResponse {
        models: models.collect(),
    })
}

pub(super) async fn load(
    app: App,
    asked: messages::RepositoryModelLoadRequest,
) -> Result<messages::RepositoryModelLoadResponse> {
    use messages::model_repository_parameter::ParameterChoice;
    let parameters = asked.parameters.iter();
    let texts = parameters.map(|(name, value)| match &value.parameter_choice {
        Some(ParameterChoice::StringParam(text)) => (name.as_str(), text.as_str()),
        _ => (name.as_str(), ""),
    });
    let which = wanted(texts)?;
    app.service
        .load_versions(&asked.model_name, which.as_ref())
        .await?;
    Ok(messages::RepositoryModelLoadResponse {})
}

pub(super) async fn unload(
    app: App,
    asked: messages::RepositoryModelUnloadRequest,
) -> Result<messages::RepositoryModelUnloadResponse> {
    app.service.unload(&asked.model_name, None).await?;
    Ok(messages::RepositoryModelUnloadResponse {})
}
