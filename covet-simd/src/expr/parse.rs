//! From text to operations on values, by recursive descent: a function for each strength of binding, the weakest first.
//!
//! Equal values are one, so `(x-m)**2 * (x-m)` subtracts once.

use crate::error::Error;
use crate::layout::OPERANDS;
use crate::op::{Binary, Ternary, Unary};

/// How deep expressions may be in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// The index of a value; its operands have lesser ones.
pub(super) type Id = usize;

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Node {
    Operand(usize),
    Constant(Literal),
    Unary(Unary, [Id; 1]),
    Binary(Binary, [Id; 2]),
    Ternary(Ternary, [Id; 3]),
}

/// A number in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Literal {
    pub(super) value: f64,
    /// The same, if it is written as a whole number.
    pub(super) whole: Option<i128>,
    pub(super) column: usize,
}

/// An expression that has been read: its value is the last.
pub(super) struct Parsed {
    pub(super) nodes: Vec<Node>,
    pub(super) result: Id,
}

impl Parsed {
    pub(super) fn new(text: &str, operands: &[&str]) -> Result<Self, Error> {
        if operands.len() > OPERANDS {
            return Err(Error::Length {
                operand: "operands",
                expected: OPERANDS,
                found: operands.len(),
            });
        }
        let mut parser = Parser {
            text,
            at: 0,
            operands,
            nodes: Vec::new(),
            depth: 0,
        };
        let result = parser.sum()?;
        match parser.peek() {
            None => Ok(Self {
                nodes: parser.nodes,
                result,
            }),
            Some(found) => {
                Err(parser.error(format!("expected an operator or the end; found `{found}`")))
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The byte that is next.
    at: usize,
    operands: &'a [&'a str],
    nodes: Vec<Node>,
    depth: usize,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<Id, Error> {
        let mut left = self.product()?;
        loop {
            if self.take("+") {
                let right = self.product()?;
                left = self.add(left, right);
            } else if self.take("-") {
                let right = self.product()?;
                left = self.node(Node::Binary(Binary::Sub, [left, right]));
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Id, Error> {
        let mut left = self.signed()?;
        loop {
            let op = match () {
                () if self.take("*") => Binary::Mul,
                () if self.take("/") => Binary::Div,
                () => return Ok(left),
            };
            let right = self.signed()?;
            left = self.node(Node::Binary(op, [left, right]));
        }
    }

    fn signed(&mut self) -> Result<Id, Error> {
        let negative = self.take("-");
        if !negative && !self.take("+") {
            return self.power();
        }
        let value = self.deeper(Self::signed)?;
        if !negative {
            return Ok(value);
        }
        Ok(match self.nodes[value] {
            // The least integer has no positive form, but is a number.
            Node::Constant(literal) => self.node(Node::Constant(Literal {
                value: -literal.value,
                whole: literal.whole.map(i128::wrapping_neg),
                ..literal
            })),
            _ => self.node(Node::Unary(Unary::Neg, [value])),
        })
    }

    fn power(&mut self) -> Result<Id, Error> {
        let base = self.atom()?;
        if !self.take("**") {
            return Ok(base);
        }
        let _ = self.peek();
        let at = self.at;
        let exponent = self.deeper(Self::signed)?;
        match self.nodes[exponent] {
            Node::Constant(Literal { value: 2.0, .. }) => {
                Ok(self.node(Node::Unary(Unary::Square, [base])))
            }
            _ => {
                let found = self.text[at..self.at].trim_end();
                let what = format!("expected the power 2, which is the only one; found `{found}`");
                Err(self.error_at(at, what))
            }
        }
    }

    fn atom(&mut self) -> Result<Id, Error> {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let value = self.deeper(Self::sum)?;
                self.close()?;
                Ok(value)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.name(),
            Some(c) => Err(self.error(format!("expected a number, a name or `(`; found `{c}`"))),
            None => Err(self.error("expected a number, a name or `(`; found the end".to_owned())),
        }
    }

    fn number(&mut self) -> Result<Id, Error> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start;
        while end < bytes.len() {
            let in_exponent = end > start && matches!(bytes[end - 1], b'e' | b'E');
            let signed = in_exponent && matches!(bytes[end], b'+' | b'-');
            if !(bytes[end].is_ascii_alphanumeric() || matches!(bytes[end], b'.' | b'_') || signed)
            {
                break;
            }
            end += 1;
        }
        let text = &self.text[start..end];
        let value: f64 = text
            .parse()
            .map_err(|_| self.error(format!("expected a number; found `{text}`")))?;
        self.at = end;
        Ok(self.node(Node::Constant(Literal {
            value,
            whole: text.parse().ok(),
            column: self.column(start),
        })))
    }

    fn name(&mut self) -> Result<Id, Error> {
        let start = self.at;
        let rest = &self.text[start..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        let name = &rest[..end.unwrap_or(rest.len())];
        self.at += name.len();
        if self.peek() == Some('(') {
            self.at += 1;
            return self.deeper(|parser| parser.call(name, start));
        }
        match self.operands.iter().position(|&operand| operand == name) {
            Some(index) => Ok(self.node(Node::Operand(index))),
            None => {
                let known = match self.operands {
                    [] => "there are no operands".to_owned(),
                    names => format!("the operands are {}", names.join(", ")),
                };
                Err(self.explained_error_at(start, format!("unknown name `{name}`"), &known))
            }
        }
    }

    /// A call, from behind its bracket.
    fn call(&mut self, name: &str, start: usize) -> Result<Id, Error> {
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.sum()?);
            if !self.take(",") {
                break;
            }
        }
        self.close()?;
        let (node, expected) = match *arguments {
            [x, ..] if let Some(op) = unary(name) => (Node::Unary(op, [x]), 1),
            [x, ref more @ ..] if let Some(op) = binary(name) => {
                (Node::Binary(op, [x, more.first().copied().unwrap_or(x)]), 2)
            }
            [x, ref more @ ..] if let Some(op) = Ternary::from_name(name) => {
                let at = |i: usize| more.get(i).copied().unwrap_or(x);
                (Node::Ternary(op, [x, at(0), at(1)]), 3)
            }
            _ => {
                let known = format!("the functions are {}", functions());
                return Err(self.explained_error_at(
                    start,
                    format!("unknown function `{name}`"),
                    &known,
                ));
            }
        };
        if arguments.len() != expected {
            let s = if expected == 1 { "" } else { "s" };
            let found = arguments.len();
            let what = format!("expected {expected} argument{s} of `{name}`; found {found}");
            return Err(self.error_at(start, what));
        }
        Ok(self.node(node))
    }

    /// A sum, or one operation where the left or the right side is a product.
    fn add(&mut self, left: Id, right: Id) -> Id {
        for (product, other) in [(left, right), (right, left)] {
            if let Node::Binary(Binary::Mul, [x, y]) = self.nodes[product] {
                return self.node(Node::Ternary(Ternary::MulAdd, [x, y, other]));
            }
        }
        self.node(Node::Binary(Binary::Add, [left, right]))
    }

    fn node(&mut self, node: Node) -> Id {
        if let Some(known) = self.nodes.iter().position(|other| *other == node) {
            return known;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn deeper<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R, Error>) -> Result<R, Error> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!(
                "expected at most {MAX_DEPTH} expressions in each other; found more"
            )));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn close(&mut self) -> Result<(), Error> {
        if self.take(")") {
            return Ok(());
        }
        let found = self
            .peek()
            .map_or("the end".to_owned(), |c| format!("`{c}`"));
        Err(self.error(format!("expected an operator or `)`; found {found}")))
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    /// Takes an operator if it is next. `*` is not the first half of `**`.
    fn take(&mut self, operator: &str) -> bool {
        self.peek();
        let rest = &self.text[self.at..];
        let found = rest.starts_with(operator) && !(operator == "*" && rest.starts_with("**"));
        if found {
            self.at += operator.len();
        }
        found
    }

    fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    fn error(&self, what: String) -> Error {
        self.error_at(self.at, what)
    }

    fn error_at(&self, at: usize, what: String) -> Error {
        self.explained_error_at(at, what, "")
    }

    fn explained_error_at(&self, at: usize, what: String, known: &str) -> Error {
        Error::Expression {
            what,
            column: self.column(at),
            known: known.to_owned(),
        }
    }
}

fn unary(name: &str) -> Option<Unary> {
    match name {
        "abs" => Some(Unary::Abs),
        _ => Unary::from_name(name),
    }
}

fn binary(name: &str) -> Option<Binary> {
    match name {
        "min" => Some(Binary::Min),
        "max" => Some(Binary::Max),
        _ => Binary::from_name(name),
    }
}

fn functions() -> String {
    let mut names = vec!["abs", "min", "max"];
    names.extend(Unary::ALL.iter().map(|op| op.name()));
    names.extend(Binary::ALL.iter().map(|op| op.name()));
    names.extend(Ternary::ALL.iter().map(|op| op.name()));
    names.join(", ")
}
