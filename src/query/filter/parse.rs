//! The text of a filter to a condition whose columns are names and whose literals are as they were written.

use sqlparser::ast::{BinaryOperator, DataType, Expr, Ident, UnaryOperator, Value as Sql};
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::number::Number;
use super::predicate::{Comparison, Pattern};
use crate::error::{Error, ErrorKind, Result};

/// A filter's text has at most so many bytes.
const LONGEST: usize = 256 * 1024;
/// A filter has at most so many words and operators; the literals of a list are not counted.
const MOST_WORDS: usize = 2_048;
/// Conditions stand in each other at most so deep.
const DEEPEST: usize = 24;

const SUPPORTED: &str = "a filter compares columns with literals by = <> < <= > >=, IN, BETWEEN, LIKE, IS NULL and IS \
                         TRUE, and puts that together with AND, OR, NOT and parentheses";

/// A condition as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// A boolean column, or a literal.
    Bare(Operand),
    Compare(Operand, Comparison, Operand),
    In(String, Vec<Literal>),
    Like(String, Like),
    IsNull(String),
    Is(Box<Condition>, Option<bool>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Column(String),
    Literal(Literal),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Like {
    /// A pattern without wildcards.
    Exactly(String),
    Pattern(Pattern),
    /// The pattern is null.
    Unknown,
}

/// Names as they are written, or in double quotes; text in single quotes.
#[derive(Debug)]
struct Conditions;

impl Dialect for Conditions {
    fn is_delimited_identifier_start(&self, character: char) -> bool {
        character == '"'
    }

    fn is_identifier_start(&self, character: char) -> bool {
        character.is_alphabetic() || character == '_'
    }

    fn is_identifier_part(&self, character: char) -> bool {
        character.is_alphanumeric() || character == '_'
    }
}

/// The condition that a text is.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if it is none, [`ErrorKind::Unsupported`] if it is one that is not supported.
pub(super) fn parse(text: &str) -> Result<Condition> {
    if text.len() > LONGEST {
        let message = format!("the filter has {} bytes, and may have at most {LONGEST}", text.len());
        return Err(Error::invalid(message).with_hint("read more rows, and pick the right ones in your program"));
    }
    let mut tokens = Tokenizer::new(&Conditions, text).tokenize_with_location().map_err(|error| {
        Error::invalid(format!("the filter cannot be read: {error}"))
            .with_hint("text stands in single quotes, and a quote in it is doubled")
    })?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    let counted = |token: &Token| {
        !matches!(token, Token::Comma | Token::Number(..) | Token::SingleQuotedString(_) | Token::HexStringLiteral(_))
    };
    if tokens.iter().filter(|token| counted(&token.token)).count() > MOST_WORDS {
        let message = format!("the filter has more than {MOST_WORDS} words and operators");
        return Err(
            Error::invalid(message).with_hint("values of one column take less room in a list: `id IN (1, 2, 3)`")
        );
    }
    if tokens.iter().all(|token| token.token == Token::EOF) {
        return Err(Error::invalid("the filter is empty").with_hint("leave it out to read all rows"));
    }
    let mut parser = Parser::new(&Conditions).with_recursion_limit(DEEPEST).with_tokens_with_locations(tokens);
    let expression = parser.parse_expr().map_err(|error| syntax(&error))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let found = shortened(&next.token.to_string());
        let message = format!("the filter goes on where it should end: `{found}` at column {}", next.span.start.column);
        let hint = match next.token {
            Token::Word(_) | Token::Period => {
                "names with spaces, dots, or that are words of SQL stand in double quotes"
            }
            _ => SUPPORTED,
        };
        return Err(Error::invalid(message).with_hint(hint));
    }
    condition(expression, 0)
}

fn syntax(error: &ParserError) -> Error {
    match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => Error::invalid(format!(
            "the filter cannot be read: {}",
            message.replace(" at Line: 1, Column: ", " at column ")
        ))
        .with_hint("names of columns that are words of SQL stand in double quotes, text in single quotes"),
    }
}

fn too_deep() -> Error {
    Error::invalid("the parts of the filter are nested too deep")
        .with_hint("leave out parentheses, or use IN for a list")
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the filter has {what}")).with_hint(SUPPORTED)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(39).chain(['…']).collect() }
}

fn condition(expression: Expr, depth: usize) -> Result<Condition> {
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let inner = |expression: Box<Expr>| condition(*expression, depth + 1);
    let negated_if = |negated, condition| if negated { Condition::Not(Box::new(condition)) } else { condition };
    let is = |expression, truth, negated| Ok(negated_if(negated, Condition::Is(Box::new(inner(expression)?), truth)));
    match expression {
        Expr::Nested(expression) => inner(expression),
        Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            let parts = chain(*left, &op, *right).into_iter().map(|part| condition(part, depth + 1));
            let parts = parts.collect::<Result<_>>()?;
            Ok(if op == BinaryOperator::And { Condition::All(parts) } else { Condition::Any(parts) })
        }
        Expr::BinaryOp { left, op, right } => {
            let comparison = comparison(&op)?;
            Ok(Condition::Compare(operand(*left)?, comparison, operand(*right)?))
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Condition::Not(Box::new(inner(expr)?))),
        Expr::IsTrue(expr) => is(expr, Some(true), false),
        Expr::IsNotTrue(expr) => is(expr, Some(true), true),
        Expr::IsFalse(expr) => is(expr, Some(false), false),
        Expr::IsNotFalse(expr) => is(expr, Some(false), true),
        Expr::IsUnknown(expr) => is(expr, None, false),
        Expr::IsNotUnknown(expr) => is(expr, None, true),
        Expr::IsNull(expr) => is_null(*expr, depth),
        Expr::IsNotNull(expr) => Ok(Condition::Not(Box::new(is_null(*expr, depth)?))),
        Expr::InList { expr, list, negated } => {
            let list = list.into_iter().map(literal).collect::<Result<_>>()?;
            Ok(negated_if(negated, Condition::In(column(*expr)?, list)))
        }
        Expr::Between { expr, negated, low, high } => {
            let value = operand(*expr)?;
            let from = Condition::Compare(value.clone(), Comparison::GreaterOrEqual, operand(*low)?);
            let to = Condition::Compare(value, Comparison::LessOrEqual, operand(*high)?);
            Ok(negated_if(negated, Condition::All(vec![from, to])))
        }
        Expr::Like { negated, any: false, expr, pattern, escape_char } => {
            let like = like(literal(*pattern)?, escape_char.map(|escape| literal(*escape)).transpose()?)?;
            Ok(negated_if(negated, Condition::Like(column(*expr)?, like)))
        }
        other => operand(other).map(Condition::Bare),
    }
}

/// The parts of `a AND b AND c`, which the parser nests to the left, however many they are.
fn chain(left: Expr, op: &BinaryOperator, right: Expr) -> Vec<Expr> {
    let (mut parts, mut rest) = (vec![right], left);
    loop {
        match rest {
            Expr::BinaryOp { left, op: other, right } if other == *op => {
                parts.push(*right);
                rest = *left;
            }
            first => {
                parts.push(first);
                parts.reverse();
                return parts;
            }
        }
    }
}

fn comparison(op: &BinaryOperator) -> Result<Comparison> {
    Ok(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        other => return Err(unsupported(&format!("the operator `{other}`"))),
    })
}

fn is_null(expression: Expr, depth: usize) -> Result<Condition> {
    match expression {
        Expr::Identifier(name) => Ok(Condition::IsNull(name.value)),
        Expr::Nested(inner) => is_null(*inner, depth),
        other => Ok(Condition::Is(Box::new(condition(other, depth + 1)?), None)),
    }
}

fn operand(expression: Expr) -> Result<Operand> {
    match expression {
        Expr::Identifier(name) => Ok(Operand::Column(name.value)),
        Expr::Nested(inner) => operand(*inner),
        other => literal(other).map(Operand::Literal),
    }
}

fn column(expression: Expr) -> Result<String> {
    match operand(expression)? {
        Operand::Column(name) => Ok(name),
        Operand::Literal(literal) => Err(unsupported(&format!("{literal} where the name of a column should stand"))),
    }
}

fn literal(expression: Expr) -> Result<Literal> {
    match expression {
        Expr::Nested(inner) => literal(*inner),
        Expr::Value(value) => written(value.value),
        Expr::TypedString(typed) => match typed.data_type {
            DataType::Date | DataType::Timestamp(..) | DataType::Time(..) | DataType::Datetime(_) => {
                written(typed.value.value)
            }
            other => Err(unsupported(&format!("a literal of type {}", shortened(&other.to_string())))),
        },
        Expr::UnaryOp { op: op @ (UnaryOperator::Minus | UnaryOperator::Plus), expr } => match literal(*expr)? {
            Literal::Number(number) if op == UnaryOperator::Minus => Ok(Literal::Number(number.negated())),
            Literal::Number(number) => Ok(Literal::Number(number)),
            other => Err(unsupported(&format!("{other} behind a sign"))),
        },
        Expr::Identifier(Ident { value, quote_style, .. }) => {
            let what = format!("the column `{}` where a literal should stand", shortened(&value));
            if quote_style.is_none() {
                return Err(unsupported(&what));
            }
            Err(Error::invalid(format!("the filter has {what}"))
                .with_hint("text stands in single quotes, double quotes name columns"))
        }
        other => Err(unsupported(&spoken(&other))),
    }
}

fn written(value: Sql) -> Result<Literal> {
    match value {
        Sql::Null => Ok(Literal::Null),
        Sql::Boolean(value) => Ok(Literal::Boolean(value)),
        Sql::SingleQuotedString(text) => Ok(Literal::Text(text)),
        Sql::Number(text, _) => match Number::parse(&text) {
            Some(number) => Ok(Literal::Number(number)),
            None => Err(Error::invalid(format!("`{}` is no number", shortened(&text)))),
        },
        Sql::HexStringLiteral(digits) => hexadecimal(&digits)
            .map(Literal::Bytes)
            .ok_or_else(|| Error::invalid("a literal X'…' has two hexadecimal digits for each byte")),
        other => Err(unsupported(&format!("the literal {}", shortened(&other.to_string())))),
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

fn like(pattern: Literal, escape: Option<Literal>) -> Result<Like> {
    let text = match pattern {
        Literal::Text(text) => text,
        Literal::Null => return Ok(Like::Unknown),
        other => return Err(Error::invalid(format!("the pattern of a LIKE is text, and {other} is none"))),
    };
    let escape = match escape {
        None => None,
        Some(Literal::Text(escape)) if escape.chars().count() == 1 => escape.chars().next(),
        Some(other) => return Err(Error::invalid(format!("the ESCAPE of a LIKE is one character, and not {other}"))),
    };
    let (mut escaped, mut plain, mut prefix) = (String::new(), String::new(), None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if Some(character) != escape && matches!(character, '%' | '_') {
            prefix.get_or_insert_with(|| plain.clone());
            escaped.push(character);
            continue;
        }
        let meant = if Some(character) == escape { characters.next() } else { Some(character) };
        let meant = meant.ok_or_else(|| Error::invalid("the pattern of a LIKE ends with its ESCAPE character"))?;
        if matches!(meant, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(meant);
        plain.push(meant);
    }
    Ok(match prefix {
        Some(prefix) => Like::Pattern(Pattern { escaped, prefix }),
        None => Like::Exactly(plain),
    })
}

/// What an expression is that is not supported.
fn spoken(expression: &Expr) -> String {
    match expression {
        Expr::Function(function) => match function.name.0.last() {
            Some(name) => format!("the function `{}`", shortened(&name.to_string())),
            None => "a function".into(),
        },
        Expr::Cast { .. } | Expr::Convert { .. } => "a cast".into(),
        Expr::BinaryOp { op, .. } if comparison(op).is_ok() => {
            "a comparison where a column or literal should stand".into()
        }
        Expr::BinaryOp { op, .. } => format!("the operator `{op}`"),
        Expr::UnaryOp { op, .. } => format!("the operator `{op}`"),
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => "a subquery".into(),
        Expr::ILike { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. } | Expr::Like { .. } => {
            "a match that is no LIKE with one pattern".into()
        }
        Expr::CompoundIdentifier(names) => {
            let names: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
            format!(
                "a name of several parts; a column with dots in its name is written \"{}\"",
                shortened(&names.join("."))
            )
        }
        Expr::Case { .. } => "a CASE".into(),
        Expr::Interval(_) => "an interval".into(),
        Expr::Tuple(_) | Expr::Array(_) => "a list where a column or literal should stand".into(),
        _ => "an expression of another kind".into(),
    }
}

impl std::fmt::Display for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(true) => f.write_str("TRUE"),
            Self::Boolean(false) => f.write_str("FALSE"),
            Self::Number(number) => f.write_str(&shortened(number.text())),
            Self::Text(text) => write!(f, "'{}'", shortened(&text.escape_debug().to_string())),
            Self::Bytes(bytes) => {
                f.write_str("X'")?;
                bytes.iter().take(16).try_for_each(|byte| write!(f, "{byte:02X}"))?;
                f.write_str(if bytes.len() > 16 { "…'" } else { "'" })
            }
        }
    }
}
