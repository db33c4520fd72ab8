//! From values to steps over registers, and running these by tiles.

use std::mem::MaybeUninit;

use crate::cost;
use crate::dispatch::Level;
use crate::element::Element;
use crate::error::Error;
use crate::expr::parse::{Id, Literal, Node, Parsed};
use crate::kernels::map::{self, Operand, Output};
use crate::op::{Binary, Ternary, Unary};

/// The bytes of a register: with two or three of them, and as much of each operand, a tile stays in the caches of one core.
const REGISTER: usize = 16 << 10;

/// What each step does, in their order. The last one writes the result.
#[derive(Clone, Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    constants: Vec<Literal>,
    registers: usize,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    action: Action,
    /// A register, or the result.
    to: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// For an expression that is an operand or a number.
    Copy(Place),
    Unary(Unary, [Place; 1]),
    Binary(Binary, [Place; 2]),
    Ternary(Ternary, [Place; 3]),
}

/// Where a value is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Operand(usize),
    Constant(usize),
    Register(usize),
}

impl Program {
    pub(super) fn new(Parsed { nodes, result }: Parsed) -> Self {
        // From behind, as what uses a value comes after it: the last step that does. What has none is not needed.
        let mut last_use: Vec<Option<Id>> = vec![None; nodes.len()];
        last_use[result] = Some(nodes.len());
        for (id, node) in nodes.iter().enumerate().rev() {
            if last_use[id].is_some() {
                for &input in inputs(node) {
                    last_use[input].get_or_insert(id);
                }
            }
        }
        let mut program = Self {
            steps: Vec::new(),
            constants: Vec::new(),
            registers: 0,
        };
        let mut places: Vec<Option<Place>> = Vec::with_capacity(nodes.len());
        let mut free = Vec::new();
        for (id, node) in nodes.iter().enumerate() {
            if last_use[id].is_none() {
                places.push(None);
                continue;
            }
            let at = |id: Id| places[id].expect("a step that is needed needs its operands");
            let action = match *node {
                Node::Operand(index) => {
                    places.push(Some(Place::Operand(index)));
                    continue;
                }
                Node::Constant(literal) => {
                    places.push(Some(Place::Constant(program.constants.len())));
                    program.constants.push(literal);
                    continue;
                }
                Node::Unary(op, x) => Action::Unary(op, x.map(at)),
                Node::Binary(op, x) => Action::Binary(op, x.map(at)),
                Node::Ternary(op, x) => Action::Ternary(op, x.map(at)),
            };
            // A step may write where it reads.
            for &input in inputs(node) {
                if let Some(Place::Register(register)) = places[input]
                    && last_use[input] == Some(id)
                    && !free.contains(&register)
                {
                    free.push(register);
                }
            }
            let to = (id != result).then(|| {
                free.pop().unwrap_or_else(|| {
                    program.registers += 1;
                    program.registers - 1
                })
            });
            program.steps.push(Step { action, to });
            places.push(to.map(Place::Register));
            if id == result {
                return program;
            }
        }
        let only = places[result].expect("the result is needed");
        program.steps.push(Step {
            action: Action::Copy(only),
            to: None,
        });
        program
    }

    /// Returns the program for a type.
    pub(super) fn bind<T: Element>(&self) -> Result<Bound<'_, T>, Error> {
        for step in &self.steps {
            match step.action {
                Action::Copy(_) => {}
                Action::Unary(op, _) => op.check::<T>()?,
                Action::Binary(op, _) => op.check::<T>()?,
                Action::Ternary(op, _) => op.check::<T>()?,
            }
        }
        let constant = |literal: &Literal| {
            let value = T::from_literal(literal.value, literal.whole);
            value
                .map(|value| [value; 16])
                .ok_or_else(|| Error::Expression {
                    what: format!(
                        "expected a number of the operands' type; found `{}`",
                        literal.value
                    ),
                    column: literal.column,
                    known: format!("that is {}", T::NAME),
                })
        };
        Ok(Bound {
            program: self,
            constants: self
                .constants
                .iter()
                .map(constant)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn inputs(node: &Node) -> &[Id] {
    match node {
        Node::Operand(_) | Node::Constant(_) => &[],
        Node::Unary(_, x) => x,
        Node::Binary(_, x) => x,
        Node::Ternary(_, x) => x,
    }
}

/// A program and its numbers, of one type.
pub(super) struct Bound<'a, T> {
    program: &'a Program,
    /// Each as often as a vector has lanes.
    constants: Vec<[T; 16]>,
}

/// A line of a cache, so that registers begin with one.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line {
    _bytes: [u8; 64],
}

impl<T: Element> Bound<'_, T> {
    const TILE: usize = REGISTER / size_of::<T>();

    /// Estimates what `n` elements take, in nanoseconds.
    pub(super) fn cost(&self, operands: usize, n: usize) -> f64 {
        // Steps read what is near.
        let steps = self.program.steps.iter().map(|step| match step.action {
            Action::Copy(_) => 0.0,
            Action::Unary(op, _) => cost::unary::<T>(op, Self::TILE),
            Action::Binary(op, _) => cost::binary::<T>(op, Self::TILE),
            Action::Ternary(op, _) => cost::ternary::<T>(op, Self::TILE),
        });
        let near = steps.sum::<f64>() * n as f64 / Self::TILE as f64;
        near.max(cost::memory::<T>(operands + 1, n))
    }

    /// Computes `n` elements on this thread.
    ///
    /// # Safety
    ///
    /// `level` must be available; the operands must be good for reads, and `out` for writes, of `n` elements. `out` may be an
    /// operand, and must not overlap one otherwise. There are as many operands as the program knows.
    pub(super) unsafe fn run(
        &self,
        level: Level,
        n: usize,
        operands: &[Operand<T>],
        out: Output<T>,
    ) {
        let length = Self::TILE.min(n.next_multiple_of(16));
        let lines = self.program.registers * length * size_of::<T>() / size_of::<Line>();
        let mut room: Vec<MaybeUninit<Line>> = Vec::with_capacity(lines);
        let registers = room.as_mut_ptr().cast::<T>();
        for start in (0..n).step_by(Self::TILE) {
            let count = Self::TILE.min(n - start);
            for step in &self.program.steps {
                let at = |place: Place| match place {
                    Place::Operand(index) => Operand {
                        first: operands[index]
                            .first
                            .wrapping_add(start * operands[index].step),
                        step: operands[index].step,
                    },
                    Place::Constant(index) => Operand {
                        first: self.constants[index].as_ptr(),
                        step: 0,
                    },
                    Place::Register(index) => Operand {
                        first: registers.wrapping_add(index * length).cast_const(),
                        step: 1,
                    },
                };
                let to = match step.to {
                    Some(index) => Output::cached(registers.wrapping_add(index * length)),
                    None => Output {
                        first: out.first.wrapping_add(start),
                        ..out
                    },
                };
                // SAFETY: registers have room for a tile and are written before they are read; only the last step writes to
                // `out`, after all have read this tile. `bind` has checked the operations.
                unsafe {
                    match step.action {
                        Action::Copy(x) => {
                            let x = at(x);
                            for i in 0..count {
                                to.first.add(i).write(x.first.add(i * x.step).read());
                            }
                        }
                        Action::Unary(op, [x]) => T::unary(level, op, count, at(x), to),
                        Action::Binary(op, x) => T::binary(level, op, count, x.map(at), to),
                        Action::Ternary(op, x) => map::ternary(level, op, count, x.map(at), to),
                    }
                }
            }
        }
    }
}
