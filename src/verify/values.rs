//! What a run produced, by the names of the expected tensors.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Int, Tensor};
use tessera_layers::Tap;

/// A produced tensor, read back to the host.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Floats, row-major.
    Floats(Vec<usize>, Vec<f32>),
    /// Integers, row-major.
    Integers(Vec<usize>, Vec<i64>),
}

/// Produced tensors; those that no expected tensor asks for are dropped before they are read back.
#[derive(Debug, Default)]
pub struct Values {
    wanted: BTreeSet<String>,
    found: BTreeMap<String, Value>,
    checked: BTreeMap<String, Vec<bool>>,
}

impl Values {
    /// An empty set that takes the tensors of these names.
    pub fn wanting(names: Vec<String>) -> Self {
        Self { wanted: names.into_iter().collect(), found: BTreeMap::new(), checked: BTreeMap::new() }
    }

    /// Names of expected tensors, sorted.
    pub fn wanted(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().map(String::as_str)
    }

    /// Whether a tensor of this name is expected.
    pub fn wants(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    /// Whether a tensor is expected whose name begins so.
    pub fn wants_any(&self, prefix: &str) -> bool {
        self.wanted.iter().any(|name| name.starts_with(prefix))
    }

    /// The produced tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.found.get(name)
    }

    /// Compares only the elements that are marked, row-major, where the case says that others may differ.
    pub fn check_only(&mut self, name: &str, marks: Vec<bool>) {
        self.checked.insert(name.to_owned(), marks);
    }

    /// Whether an element of a tensor is compared.
    pub fn is_checked(&self, name: &str, element: usize) -> bool {
        self.checked.get(name).is_none_or(|marks| marks.get(element).copied().unwrap_or(true))
    }

    /// Takes a float tensor.
    pub fn floats<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        if self.wants(name) {
            let shape = tensor.dims().to_vec();
            let values = tensor.into_data().iter::<f32>().collect();
            self.found.insert(name.to_owned(), Value::Floats(shape, values));
        }
    }

    /// Takes an integer tensor.
    pub fn integers<const D: usize>(&mut self, name: &str, tensor: Tensor<D, Int>) {
        if self.wants(name) {
            let shape = tensor.dims().to_vec();
            let values = tensor.into_data().iter::<i64>().collect();
            self.found.insert(name.to_owned(), Value::Integers(shape, values));
        }
    }

    /// Takes values that are on the host already.
    pub fn insert(&mut self, name: &str, value: Value) {
        if self.wants(name) {
            self.found.insert(name.to_owned(), value);
        }
    }

    /// Takes an intermediate value of a forward pass.
    pub fn tap(&mut self, name: &str, tap: Tap) {
        match tap {
            Tap::Rank2(tensor) => self.floats(name, tensor),
            Tap::Rank3(tensor) => self.floats(name, tensor),
            Tap::Rank4(tensor) => self.floats(name, tensor),
        }
    }
}
