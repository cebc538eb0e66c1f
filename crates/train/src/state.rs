//! Everything that an optimizer step changes. Saved and restored bit for bit,
//! it makes a resumed run the same run.

use std::path::Path;

use iwsft_engine::Tensor;
use iwsft_engine::optim::AdamW;
use iwsft_objective::Objective;

use crate::error::SourceError;
use crate::{PolicyFiles, TrainError, tensor_file};

const TENSORS: &str = "trainer.safetensors";
const FIRST_MOMENT: &str = "m";
const SECOND_MOMENT: &str = "v";
const PROPOSAL: &str = "q";
const PARAMETERS: &str = "parameters";

/// Everything that an optimizer step changes.
#[derive(Debug)]
pub struct State {
    /// Optimizer steps made.
    pub step: u64,
    /// The policy being trained.
    pub parameters: Tensor,
    /// The optimizer's moments.
    pub optimizer: AdamW,
    /// The proposal q, where it is a moving average or an older copy of the
    /// policy; `None` where it is the current policy.
    pub proposal: Option<Tensor>,
}

impl State {
    /// The state before the first step: q, where the objective has one of its
    /// own, is a copy of the policy.
    pub fn new(parameters: Tensor, optimizer: AdamW, objective: &Objective) -> Self {
        let proposal = objective.needs_q().then(|| {
            let mut copy = Tensor::zeros(parameters.len());
            copy.copy_from(&parameters);
            copy
        });
        Self {
            step: 0,
            parameters,
            optimizer,
            proposal,
        }
    }

    /// Writes the state into a checkpoint's folder.
    pub(crate) fn save(&self, folder: &Path, files: &dyn PolicyFiles) -> Result<(), SourceError> {
        files.save(folder, &self.parameters)?;
        let mut tensors = vec![
            (FIRST_MOMENT, &self.optimizer.m),
            (SECOND_MOMENT, &self.optimizer.v),
        ];
        if let Some(proposal) = &self.proposal {
            tensors.push((PROPOSAL, proposal));
        }
        if !files.exact() {
            tensors.push((PARAMETERS, &self.parameters));
        }
        Ok(tensor_file::write(&folder.join(TENSORS), &tensors)?)
    }

    /// Overwrites the state with that of a checkpoint made at `step`.
    pub(crate) fn load(
        &mut self,
        folder: &Path,
        step: u64,
        files: &dyn PolicyFiles,
    ) -> Result<(), TrainError> {
        if files.exact() {
            files
                .load(folder, &mut self.parameters)
                .map_err(|source| TrainError::Load {
                    path: folder.to_owned(),
                    source,
                })?;
        }
        let mut tensors = vec![
            (FIRST_MOMENT, &mut self.optimizer.m),
            (SECOND_MOMENT, &mut self.optimizer.v),
        ];
        if let Some(proposal) = &mut self.proposal {
            tensors.push((PROPOSAL, proposal));
        }
        if !files.exact() {
            tensors.push((PARAMETERS, &mut self.parameters));
        }
        tensor_file::read(&folder.join(TENSORS), &mut tensors)?;
        self.step = step;
        Ok(())
    }

    /// Bytes of a checkpoint, small files not counted.
    pub(crate) fn bytes(&self, files: &dyn PolicyFiles) -> u64 {
        let copies = 3 + u64::from(self.proposal.is_some()) + u64::from(!files.exact());
        copies * (self.parameters.len() * size_of::<f32>()) as u64
    }
}
