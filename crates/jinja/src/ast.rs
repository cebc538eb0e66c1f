//! Templates as trees.
//!
//! Operators of one precedence, filters and subscripts stand in lists rather than in
//! each other, so that the depth of the tree is the nesting of the source.

use std::sync::Arc;

/// A name, shared with the values that carry it.
pub(crate) type Name = Arc<str>;

/// Statements that follow each other.
pub(crate) type Block = Vec<Node>;

/// A statement and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) stmt: Stmt,
}

#[derive(Debug)]
pub(crate) enum Stmt {
    Text(String),
    Print(Expr),
    For(Box<For>),
    /// Conditions with what they guard, and what is done where none holds.
    If(Vec<(Expr, Block)>, Block),
    Set(Target, Expr),
    /// `{% set x | filter %}...{% endset %}`
    SetBlock(Target, Vec<Postfix>, Block),
    With(Vec<(Target, Expr)>, Block),
    Filter(Vec<Postfix>, Block),
    Macro(Macro),
    /// `{% call(x) f() %}...{% endcall %}`: the call, and the macro `caller`.
    Call(Expr, Macro),
    Generation(Block),
    /// `{% block %}`: only sees what is set at the top.
    Inset(Block),
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) items: Expr,
    pub(crate) test: Option<Expr>,
    pub(crate) recursive: bool,
    pub(crate) body: Block,
    pub(crate) otherwise: Block,
}

#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) name: Option<Name>,
    pub(crate) parameters: Vec<(Name, Option<Expr>)>,
    /// Which of `varargs`, `kwargs` and `caller` the body names.
    pub(crate) uses: Uses,
    pub(crate) body: Block,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Uses {
    pub(crate) varargs: bool,
    pub(crate) kwargs: bool,
    pub(crate) caller: bool,
}

#[derive(Debug)]
pub(crate) enum Target {
    Name(Name),
    /// An attribute of a namespace.
    Attribute(Name, Name),
    Tuple(Vec<Target>),
}

#[derive(Debug)]
pub(crate) enum Expr {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Arc<str>),
    Name(Name),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// `a if test else b`
    If(Box<Choice>),
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// Operators of one precedence, from left to right.
    Arithmetic(Box<Expr>, Vec<(Operator, Expr)>),
    /// `a ~ b ~ c`
    Concat(Vec<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Postfix(Box<Expr>, Vec<Postfix>),
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) test: Expr,
    pub(crate) then: Expr,
    pub(crate) otherwise: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}

/// What stands behind an expression and is done to its value.
#[derive(Debug)]
pub(crate) enum Postfix {
    Attribute(Name),
    Item(Expr),
    Slice(Box<[Option<Expr>; 3]>),
    Call(Arguments),
    Filter(Name, Arguments),
    Test {
        name: Name,
        arguments: Arguments,
        negated: bool,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Name, Expr)>,
    /// `*args`
    pub(crate) more_positional: Option<Expr>,
    /// `**kwargs`
    pub(crate) more_named: Option<Expr>,
}
