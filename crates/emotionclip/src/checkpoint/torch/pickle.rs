//! A reader of Python pickles that runs no code.
//!
//! A pickle is a program for a small stack machine. This one builds plain values only, knows the
//! names in [`super::callables`] and nothing else, never recurses, and does at most a given number
//! of steps, so neither a damaged nor a hostile file can make it panic, run something or grow
//! without bound. Protocols 2 to 5 are read, which is all that PyTorch has written since 0.4.

use super::callables::{Policy, resolve};
use super::machine::Machine;
use super::opcode;
use super::value::{Callable, Pickle, Value, ValueId};
use crate::checkpoint::error::Fault;

/// Steps allowed in any file. Real checkpoints take about one for every eleven bytes of the whole
/// file when the model is tiny, and far fewer when it is not.
const MIN_STEPS: usize = 1 << 17;

/// Bytes of the whole file per step beyond that: keeps the values built (about 40 bytes a step,
/// twice that while their arena grows) below the size of the file.
const BYTES_PER_STEP: usize = 128;

/// Reads one pickle from the start of `input`. `file_size` is that of the whole checkpoint.
pub(super) fn parse(input: &[u8], policy: Policy, file_size: usize) -> Result<Pickle<'_>, Fault> {
    let steps = MIN_STEPS.max(file_size / BYTES_PER_STEP);
    let mut machine = Machine::new(input, policy, steps);
    loop {
        machine.charge(1)?;
        let code = machine.byte()?;
        if code == opcode::STOP {
            return machine.finish();
        }
        machine.step(code)?;
    }
}

impl<'a> Machine<'a> {
    fn step(&mut self, code: u8) -> Result<(), Fault> {
        match code {
            opcode::PROTO => match self.byte()? {
                2..=5 => Ok(()),
                other => Err(Fault::unsupported(format!(
                    "pickle protocol {other} is not read; save again with `torch.save`"
                ))),
            },
            opcode::FRAME => self.take(8).map(|_| ()),

            opcode::NONE | opcode::BINFLOAT => {
                self.take(if code == opcode::BINFLOAT { 8 } else { 0 })?;
                self.push(Value::Opaque)
            }
            opcode::NEWTRUE | opcode::NEWFALSE => self.push(Value::Bool(code == opcode::NEWTRUE)),
            opcode::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))
            }
            opcode::BININT1 => {
                let value = self.byte()?;
                self.push(Value::Int(value.into()))
            }
            opcode::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))
            }
            opcode::LONG1 => {
                let size = self.byte()?.into();
                self.long(size)
            }
            opcode::LONG4 => {
                let size = self.size4()?;
                self.long(size)
            }

            opcode::SHORT_BINUNICODE => {
                let size = self.byte()?.into();
                self.string(size)
            }
            opcode::BINUNICODE => {
                let size = self.size4()?;
                self.string(size)
            }
            opcode::BINUNICODE8 => {
                let size = self.size8()?;
                self.string(size)
            }
            opcode::SHORT_BINSTRING | opcode::SHORT_BINBYTES => {
                let size = self.byte()?.into();
                self.byte_string(size)
            }
            opcode::BINSTRING | opcode::BINBYTES => {
                let size = self.size4()?;
                self.byte_string(size)
            }
            opcode::BINBYTES8 | opcode::BYTEARRAY8 => {
                let size = self.size8()?;
                self.byte_string(size)
            }

            opcode::POP => self.discard(),
            opcode::POP_MARK => self.pop_mark().map(|_| ()),
            opcode::DUP => {
                let top = self.top()?;
                self.push_again(top);
                Ok(())
            }
            opcode::MARK => {
                self.mark();
                Ok(())
            }
            opcode::BINPUT => {
                let index = self.byte()?.into();
                self.memoise(index)
            }
            opcode::LONG_BINPUT => {
                let index = u32::from_le_bytes(self.array()?);
                self.memoise(index)
            }
            opcode::MEMOIZE => self.memoise_next(),
            opcode::BINGET => {
                let index = self.byte()?.into();
                self.recall(index)
            }
            opcode::LONG_BINGET => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)
            }

            opcode::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new())),
            opcode::TUPLE1 | opcode::TUPLE2 | opcode::TUPLE3 => {
                let count = usize::from(code - opcode::TUPLE1) + 1;
                let items = self.pop_many(count)?;
                self.push(Value::Tuple(items))
            }
            opcode::TUPLE => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))
            }
            opcode::EMPTY_LIST | opcode::EMPTY_SET => self.push(Value::List(Vec::new())),
            opcode::LIST | opcode::FROZENSET => {
                let items = self.pop_mark()?;
                self.push(Value::List(items))
            }
            opcode::APPEND => {
                let item = self.pop()?;
                self.extend_list(&[item])
            }
            opcode::APPENDS | opcode::ADDITEMS => {
                let items = self.pop_mark()?;
                self.extend_list(&items)
            }
            opcode::EMPTY_DICT => self.push(Value::Dict(Vec::new())),
            opcode::DICT => {
                let items = self.pop_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.extend_dict(&items)
            }
            opcode::SETITEM => {
                let items = self.pop_many(2)?;
                self.extend_dict(&items)
            }
            opcode::SETITEMS => {
                let items = self.pop_mark()?;
                self.extend_dict(&items)
            }

            opcode::GLOBAL => {
                let module = self.line()?;
                let name = self.line()?;
                let callable = resolve(module, name, self.policy)?;
                self.push(Value::Callable(callable))
            }
            opcode::STACK_GLOBAL => {
                let names = self.pop_many(2)?;
                let (module, name) = (self.string_at(names[0])?, self.string_at(names[1])?);
                let callable = resolve(module, name, self.policy)?;
                self.push(Value::Callable(callable))
            }
            opcode::BINPERSID => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Value::Storage(storage))
            }
            opcode::REDUCE => {
                let operands = self.pop_many(2)?;
                self.call(operands[0], operands[1])
            }
            opcode::NEWOBJ => {
                let operands = self.pop_many(2)?;
                match self.value(operands[0]) {
                    Value::Callable(Callable::ModuleClass) => self.push(Value::Module(None)),
                    _ => self.call(operands[0], operands[1]),
                }
            }
            opcode::BUILD => {
                let state = self.pop()?;
                self.set_attributes(state)
            }
            opcode::INST => {
                let module = self.line()?;
                let name = self.line()?;
                resolve(module, name, self.policy)?;
                Err(self.unknown(code))
            }
            _ => Err(self.unknown(code)),
        }
    }

    /// What calling an allowed name means.
    fn call(&mut self, callable: ValueId, arguments: ValueId) -> Result<(), Fault> {
        let &Value::Callable(callable) = self.value(callable) else {
            return Err(Fault::damaged(
                "the pickle calls something that is not a class",
            ));
        };
        let Value::Tuple(arguments) = self.value(arguments) else {
            return Err(Fault::damaged(
                "the pickle calls a class without a tuple of arguments",
            ));
        };
        let first = arguments.first().copied();
        match callable {
            Callable::RebuildTensor => {
                let tensor = self.tensor(arguments)?;
                self.charge(tensor.shape.len())?;
                self.push(Value::Tensor(Box::new(tensor)))
            }
            Callable::Wrap => match first {
                Some(first) => {
                    self.push_again(first);
                    Ok(())
                }
                None => self.push(Value::List(Vec::new())),
            },
            Callable::Dict => {
                let entries = match first.map(|first| self.value(first)) {
                    None => Vec::new(),
                    Some(Value::List(pairs)) => self.pairs(pairs)?,
                    Some(_) => return Err(Fault::damaged("an ordered dict made of no list")),
                };
                self.charge(entries.len())?;
                self.push(Value::Dict(entries))
            }
            Callable::StorageType(_) | Callable::ModuleClass => Err(Fault::unsupported(
                "it holds whole objects in place of tensors; save `model.state_dict()`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(input: &[u8]) -> Result<Pickle<'_>, Fault> {
        parse(input, Policy::Checkpoint, input.len())
    }

    #[test]
    fn containers_strings_and_integers_of_every_width_are_read() {
        // {"a": [1, 300, -2, 2**40], "b": ()}
        let list = b"](K\x01M\x2c\x01J\xfe\xff\xff\xff\x8a\x06\0\0\0\0\0\x01e";
        let input = [b"\x80\x02}(U\x01a", &list[..], b"X\x01\0\0\0b)u."].concat();
        let pickle = parsed(&input).unwrap();
        let Value::Dict(root) = pickle.root() else {
            panic!("not a dict: {pickle:?}");
        };
        let entries: Vec<_> = pickle.entries(root).collect();
        assert_eq!(
            entries.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            ["a", "b"]
        );
        let Value::List(items) = pickle.get(entries[0].1) else {
            panic!("not a list: {pickle:?}");
        };
        let integers = items.iter().map(|&item| match pickle.get(item) {
            Value::Int(value) => *value,
            other => panic!("not an integer: {other:?}"),
        });
        assert_eq!(integers.collect::<Vec<_>>(), [1, 300, -2, 1 << 40]);
    }

    #[test]
    fn foreign_names_are_refused_in_every_spelling() {
        for input in [
            &b"\x80\x02cos\nsystem\n."[..],
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
            b"(ios\nsystem\n.",
        ] {
            let Err(Fault::ForeignClass(class)) = parsed(input) else {
                panic!("{input:?} was read");
            };
            assert_eq!(class, "os.system");
        }
    }

    #[test]
    fn a_name_that_is_called_must_be_one_of_ours() {
        assert!(matches!(
            parsed(b"\x80\x02U\x06system)R."),
            Err(Fault::Damaged(_))
        ));
    }

    #[test]
    fn a_list_within_itself_and_deep_nesting_are_harmless() {
        let pickle = parsed(b"\x80\x02]q\0h\0a.").unwrap();
        assert!(matches!(pickle.root(), Value::List(items) if items == &[pickle.root]));

        let mut deep = b"\x80\x02)".to_vec();
        deep.extend(std::iter::repeat_n(opcode::TUPLE1, 100_000));
        deep.push(opcode::STOP);
        assert!(parsed(&deep).is_ok());
    }

    #[test]
    fn endless_work_is_cut_off() {
        let mut long = vec![opcode::NONE; 2 * MIN_STEPS];
        long.push(opcode::STOP);
        assert!(matches!(parsed(&long), Err(Fault::Damaged(_))));
    }

    #[test]
    fn stack_and_memo_misuse_is_damage() {
        for input in [
            &b"."[..],
            b"0.",
            b"t.",
            b"(0e.",
            b"]K\x01K\x02u.",
            b"h\0.",
            b"(K\x01a.",
            b"}(K\x01u.",
        ] {
            assert!(matches!(parsed(input), Err(Fault::Damaged(_))), "{input:?}");
        }
    }

    #[test]
    fn lengths_beyond_the_input_are_damage() {
        for input in [
            &b"X\xff\xff\xff\xffab"[..],
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab",
            b"\x8b\xff\xff\xff\xffab",
            b"cos",
            b"",
        ] {
            assert!(matches!(parsed(input), Err(Fault::Damaged(_))), "{input:?}");
        }
    }

    #[test]
    fn a_storage_of_unknown_form_is_damage() {
        for id in [
            &b"U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ\xff\xff\xff\xfft"[..],
            b"U\x07storageU\x010t",
            b"U\x06modulectorch\nFloatStorage\nU\x010U\x03cpuK\x01t",
        ] {
            let input = [b"(", id, b"Q."].concat();
            assert!(matches!(parsed(&input), Err(Fault::Damaged(_))), "{id:?}");
        }
    }
}
