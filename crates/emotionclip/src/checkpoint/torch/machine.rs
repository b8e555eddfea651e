//! The stack machine's hands: taking input, pushing and popping values, the memo.

use std::collections::HashMap;

use super::callables::Policy;
use super::value::{Pickle, Value, ValueId};
use crate::checkpoint::error::Fault;

/// The state of a pickle half read. Every method that can fail on the input gives a fault.
pub(super) struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    pub(super) policy: Policy,
    steps_left: usize,
    values: Vec<Value<'a>>,
    stack: Vec<ValueId>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, ValueId>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(input: &'a [u8], policy: Policy, steps: usize) -> Self {
        Self {
            input,
            at: 0,
            policy,
            steps_left: steps,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// What was read, its root on top of the stack.
    pub(super) fn finish(mut self) -> Result<Pickle<'a>, Fault> {
        let root = self.pop()?;
        Ok(Pickle {
            values: self.values,
            root,
            consumed: self.at,
        })
    }

    /// Counts work, so that cheap opcodes over long values cannot multiply.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps_left = self
            .steps_left
            .checked_sub(steps)
            .ok_or_else(|| Fault::damaged("the pickle is longer than its tensors account for"))?;
        Ok(())
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let taken = self.input.get(self.at..).and_then(|rest| rest.get(..count));
        let taken = taken.ok_or_else(|| Fault::damaged("the pickle ends early"))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.take(N)?;
        taken
            .try_into()
            .map_err(|_| Fault::damaged("the pickle ends early"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn size4(&mut self) -> Result<usize, Fault> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    /// Saturates: no input is that long, so taking the bytes fails.
    pub(super) fn size8(&mut self) -> Result<usize, Fault> {
        Ok(usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX))
    }

    pub(super) fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or_else(|| Fault::damaged("the pickle ends in a name"))?)?;
        self.at += 1;
        str::from_utf8(line).map_err(|_| Fault::damaged("a class name is not UTF-8"))
    }

    /// Two's complement, little-endian; longer than 64 bits is kept as opaque.
    pub(super) fn long(&mut self, size: usize) -> Result<(), Fault> {
        let bytes = self.take(size)?;
        let mut wide = [if bytes.last().is_some_and(|&top| top >= 0x80) {
            0xFF
        } else {
            0
        }; 8];
        let value = match wide.get_mut(..size) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::Opaque,
        };
        self.push(value)
    }

    pub(super) fn string(&mut self, size: usize) -> Result<(), Fault> {
        let bytes = self.take(size)?;
        let text = str::from_utf8(bytes).map_err(|_| Fault::damaged("a string is not UTF-8"))?;
        self.push(Value::Str(text))
    }

    /// Bytes, or a string of Python 2.
    pub(super) fn byte_string(&mut self, size: usize) -> Result<(), Fault> {
        let bytes = self.take(size)?;
        self.push(str::from_utf8(bytes).map_or(Value::Opaque, Value::Str))
    }

    pub(super) fn string_at(&self, id: ValueId) -> Result<&'a str, Fault> {
        match self.value(id) {
            Value::Str(text) => Ok(text),
            _ => Err(Fault::damaged("a class name is not a string")),
        }
    }

    pub(super) fn value(&self, id: ValueId) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::Opaque)
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), Fault> {
        let id = ValueId::try_from(self.values.len())
            .map_err(|_| Fault::damaged("the pickle holds too many values"))?;
        self.values.push(value);
        self.stack.push(id);
        Ok(())
    }

    /// Pushes a value that was made before.
    pub(super) fn push_again(&mut self, id: ValueId) {
        self.stack.push(id);
    }

    pub(super) fn mark(&mut self) {
        self.marks.push(self.stack.len());
    }

    /// Sets the attributes of the module on top of the stack. Those of anything else (an ordered
    /// dict's `_metadata`) carry no tensors and are dropped.
    pub(super) fn set_attributes(&mut self, attributes: ValueId) -> Result<(), Fault> {
        let top = self.top()?;
        if let Some(Value::Module(slot)) = self.values.get_mut(top as usize) {
            *slot = Some(attributes);
        }
        Ok(())
    }

    /// The lowest stack height that opcodes may pop to: the innermost open mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn top(&self) -> Result<ValueId, Fault> {
        let values = self.stack.get(self.floor()..).unwrap_or_default();
        values.last().copied().ok_or_else(underflow)
    }

    pub(super) fn pop(&mut self) -> Result<ValueId, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    pub(super) fn pop_many(&mut self, count: usize) -> Result<Vec<ValueId>, Fault> {
        let start = self
            .stack
            .len()
            .checked_sub(count)
            .filter(|&start| start >= self.floor());
        Ok(self.stack.drain(start.ok_or_else(underflow)?..).collect())
    }

    pub(super) fn pop_mark(&mut self) -> Result<Vec<ValueId>, Fault> {
        let start = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.drain(start.min(self.stack.len())..).collect())
    }

    /// Drops the top value, or the innermost mark when nothing was pushed since.
    pub(super) fn discard(&mut self) -> Result<(), Fault> {
        match self.pop() {
            Ok(_) => Ok(()),
            Err(fault) => self.marks.pop().map(|_| ()).ok_or(fault),
        }
    }

    /// Memoises under the next free index.
    pub(super) fn memoise_next(&mut self) -> Result<(), Fault> {
        self.memoise(self.memo.len() as u32)
    }

    pub(super) fn memoise(&mut self, index: u32) -> Result<(), Fault> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, index: u32) -> Result<(), Fault> {
        let id = self.memo.get(&index).copied();
        self.stack
            .push(id.ok_or_else(|| Fault::damaged("the pickle recalls an unknown value"))?);
        Ok(())
    }

    pub(super) fn extend_list(&mut self, items: &[ValueId]) -> Result<(), Fault> {
        let top = self.top()?;
        match self.values.get_mut(top as usize) {
            Some(Value::List(list)) => {
                list.extend_from_slice(items);
                Ok(())
            }
            _ => Err(Fault::damaged(
                "the pickle appends to something that is not a list",
            )),
        }
    }

    pub(super) fn extend_dict(&mut self, items: &[ValueId]) -> Result<(), Fault> {
        let (pairs, rest) = items.as_chunks::<2>();
        let top = self.top()?;
        match self.values.get_mut(top as usize) {
            Some(Value::Dict(dict)) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(Fault::damaged(
                "the pickle sets items of something that is not a dict",
            )),
        }
    }

    /// The fault for an opcode, just taken, that has no meaning here.
    pub(super) fn unknown(&self, code: u8) -> Fault {
        let at = self.at.saturating_sub(1);
        Fault::damaged(format!(
            "unsupported pickle opcode 0x{code:02x} at byte {at}"
        ))
    }
}

fn underflow() -> Fault {
    Fault::damaged("the pickle takes more values than it made")
}
