//! Texts → vectors.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};

use super::{
    DeviceSpec, Error, Kind, WeightsSettings, ahead,
    bert::{self, Bert, BertConfig, BertTokenizer, Head, Pooling, TextOptions},
    checkpoint, fingerprint,
    weights::{self, Entry, Located, catalogue},
    workers,
};
use crate::corpus::Fingerprint;

/// The tokens that one job holds at most on a processor: enough to fill the products, small enough
/// to stay in the caches and to leave work for every core.
pub(super) const TOKENS_PER_JOB: usize = 512;
/// The same on a graphics card.
pub(super) const TOKENS_PER_LAUNCH: usize = 32_768;
/// The texts that are tokenised together while a graphics card computes those before.
const TEXTS_AHEAD: usize = 8192;

/// A loaded text encoder; may be shared between threads.
#[derive(Debug)]
pub struct TextEncoder {
    name: String,
    fingerprint: Fingerprint,
    tokenizer: BertTokenizer,
    model: Bert,
    head: Head,
    /// The length of a token's vector.
    hidden: usize,
    /// How many tokens of each row are not pooled.
    left_out: usize,
    spec: DeviceSpec,
    device: Device,
}

/// Loads a named text encoder, or a checkpoint of the BERT family in its hub layout.
pub fn load_text(
    name_or_dir: &str,
    device: &DeviceSpec,
    weights: &WeightsSettings,
) -> Result<TextEncoder, Error> {
    load_text_with(name_or_dir, device, weights, TextOptions::default())
}

/// [`load_text`] with a say about pooling, which only a checkpoint in a directory takes.
pub fn load_text_with(
    name_or_dir: &str,
    device: &DeviceSpec,
    weights: &WeightsSettings,
    options: TextOptions,
) -> Result<TextEncoder, Error> {
    // A device that is not there is told before anything is downloaded.
    let opened = device.open()?;
    let parts = match catalogue::find(name_or_dir) {
        Some(entry) if entry.kind != Kind::Text => {
            return Err(Error::WrongKind {
                name: name_or_dir.to_owned(),
                found: entry.kind.with_article(),
                wanted: Kind::Text.with_article(),
                known: catalogue::names(Some(Kind::Text)),
            });
        }
        Some(entry) => Parts::of_entry(entry, &weights::locate(entry, weights)?)?,
        None => Parts::of_directory(
            fingerprint::existing_directory(name_or_dir, Some(Kind::Text))?,
            options,
        )?,
    };
    parts.load(name_or_dir, *device, opened)
}

/// The files and settings of a text encoder.
struct Parts {
    form: Form,
    weights: PathBuf,
    pooled: Pooled,
    /// What is put in front of every text.
    prefix: String,
    fingerprint: Fingerprint,
}

/// Where the hyperparameters and the vocabulary are.
enum Form {
    /// In files of their own, and how many tokens a text may have.
    Files(PathBuf, PathBuf, usize),
    /// In a directory, with settings of their own.
    Directory(PathBuf),
    /// In the file of the weights, and how many tokens a text may have.
    Packed(usize),
}

/// What makes one vector of a text's.
enum Pooled {
    /// What the catalogue says: how, and whether to unit length.
    Said(Pooling, bool),
    /// What the files of a directory say.
    Read(Head),
}

impl Parts {
    /// What the catalogue says: files beside those that it pins have no say.
    fn of_entry(entry: &Entry, located: &Located) -> Result<Self, Error> {
        let form = match entry.architecture.as_str() {
            "bert" => Form::Files(
                located.file("config.json").to_owned(),
                located.file("tokenizer.json").to_owned(),
                entry.max_tokens,
            ),
            "packed-bert" => Form::Packed(entry.max_tokens),
            other => {
                return Err(Error::Architecture {
                    name: entry.name.clone(),
                    architecture: other.to_owned(),
                });
            }
        };
        let (pooling, normalize) = entry.text_pooling();
        Ok(Self {
            form,
            weights: located.file(&entry.weights).to_owned(),
            pooled: Pooled::Said(pooling, normalize),
            prefix: entry.prefix.clone(),
            fingerprint: fingerprint::of_entry(entry),
        })
    }

    fn of_directory(directory: &Path, options: TextOptions) -> Result<Self, Error> {
        let fingerprint = fingerprint::of_directory(directory, options)?;
        let network = bert::network(directory)?;
        let config = BertConfig::read(&network.join("config.json"))?;
        let head = Head::of_directory(directory, options, config.hidden_size)?;
        Ok(Self {
            weights: checkpoint::file_in(&network)?,
            form: Form::Directory(network),
            pooled: Pooled::Read(head),
            prefix: bert::prompt(directory)?,
            fingerprint,
        })
    }

    fn load(self, name: &str, spec: DeviceSpec, device: Device) -> Result<TextEncoder, Error> {
        let (config, tokenizer) = match &self.form {
            Form::Files(config, tokenizer, max_tokens) => (
                BertConfig::read(config)?,
                BertTokenizer::read(tokenizer, *max_tokens)?,
            ),
            Form::Directory(directory) => {
                let config = BertConfig::read(&directory.join("config.json"))?;
                let tokenizer = BertTokenizer::of_directory(directory, config.longest())?;
                (config, tokenizer)
            }
            Form::Packed(max_tokens) => bert::read_packed(&self.weights, *max_tokens)?,
        };
        let head = match self.pooled {
            Pooled::Said(pooling, normalize) => Head::new(pooling, normalize, config.hidden_size),
            Pooled::Read(head) => head,
        };
        let left_out = if head.leaves_out_prompt() && !self.prefix.is_empty() {
            tokenizer.count_of_prompt(&self.prefix)?
        } else {
            0
        };
        let model = bert::load(&config, &self.weights, &device, spec.precision().dtype())?;
        Ok(TextEncoder {
            name: name.to_owned(),
            fingerprint: fingerprint::in_precision(self.fingerprint, spec.precision()),
            tokenizer: tokenizer
                .with_prefix(&self.prefix)
                .for_model(config.vocab_size),
            model,
            head,
            hidden: config.hidden_size,
            left_out,
            spec,
            device,
        })
    }
}

impl TextEncoder {
    /// The name, or the directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What makes its vectors comparable.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The length of a vector.
    pub const fn dimension(&self) -> usize {
        self.head.dimension()
    }

    /// One vector per text, in the texts' order.
    ///
    /// Texts of one token length are computed together, so that none needs padding. On Flex a
    /// text's vector has the same bytes in any company. A text of no tokens, which only rules that
    /// put none around it make, is a zero for each number in front of the modules behind pooling.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        Ok(self.embed_counted(texts)?.0)
    }

    /// [`TextEncoder::embed`], and the number of tokens that were computed.
    pub fn embed_counted(&self, texts: &[&str]) -> Result<(Vec<Vec<f32>>, usize), Error> {
        if !self.spec.is_on_card() {
            return self.embed_tokens(&self.tokenizer.encode(texts)?);
        }
        let batches = ahead::map(
            texts.chunks(TEXTS_AHEAD),
            |texts| self.tokenizer.encode(texts),
            |ids| self.embed_tokens(&ids?),
        );
        let mut all = (Vec::with_capacity(texts.len()), 0);
        for batch in batches {
            let (vectors, tokens) = batch?;
            all.0.extend(vectors);
            all.1 += tokens;
        }
        Ok(all)
    }

    /// The vectors of rows of tokens, in the rows' order, and the number of tokens.
    fn embed_tokens(&self, ids: &[Vec<u32>]) -> Result<(Vec<Vec<f32>>, usize), Error> {
        let tokens = ids.iter().map(Vec::len).sum();
        let jobs = jobs(
            ids,
            if self.spec.is_on_card() {
                TOKENS_PER_LAUNCH
            } else {
                TOKENS_PER_JOB
            },
        );
        let compute = |job: &Vec<usize>| self.compute(job, ids);
        let results = if self.spec.is_exact() {
            workers::map(&jobs, compute)
        } else {
            jobs.iter().map(compute).collect()
        };
        let mut vectors = vec![Vec::new(); ids.len()];
        for (job, result) in jobs.iter().zip(results) {
            for (row, vector) in job.iter().zip(result?) {
                vectors[*row] = vector;
            }
        }
        Ok((vectors, tokens))
    }

    /// The vectors of the texts at `job`, which have one token length.
    fn compute(&self, job: &[usize], ids: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, Error> {
        let rows: Vec<&[u32]> = job.iter().map(|row| ids[*row].as_slice()).collect();
        if rows.iter().all(|row| row.is_empty()) {
            let shape = [rows.len(), 0, self.hidden];
            return self.head.apply(&[], shape, self.left_out);
        }
        let states = self.model.forward(&rows, &self.device);
        // A graphics card need not send what is left out or joined here anyway.
        let states = match self.head.only() {
            Some(Pooling::Cls) if self.left_out == 0 => states.narrow(1, 0, 1),
            Some(Pooling::Mean) if self.left_out == 0 && self.spec.is_on_card() => {
                states.cast(DType::F32).mean_dim(1)
            }
            _ => states,
        };
        let shape = states.dims();
        let states = states
            .try_into_vec_as::<f32>()
            .map_err(|error| Error::Compute(error.to_string()))?;
        self.head.apply(&states, shape, self.left_out)
    }
}

/// Groups rows of one token length into jobs of at most `budget` tokens (but at least one row);
/// the dearest jobs come first, so that no core is left alone with a long one at the end.
pub(super) fn jobs(ids: &[Vec<u32>], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|row| std::cmp::Reverse(ids[*row].len()));
    order
        .chunk_by(|a, b| ids[*a].len() == ids[*b].len())
        .flat_map(|rows| {
            let tokens = ids[rows[0]].len().max(1);
            rows.chunks((budget / tokens).max(1)).map(<[usize]>::to_vec)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_hold_rows_of_one_length_once() {
        let ids: Vec<Vec<u32>> = [3, 2, 3, 9, 2, 2, 2].map(|length| vec![0; length]).to_vec();
        let jobs = jobs(&ids, 6);
        assert_eq!(jobs, [vec![3], vec![0, 2], vec![1, 4, 5], vec![6]]);
    }
}
