//! NEON: float kernels through pulp; the code kernels are the scalar loops, which the compiler
//! vectorises because NEON is part of the base instruction set.

use pulp::aarch64::Neon;

use super::nibbles::{LANES, LINE_COMPONENTS};
use super::{Kernel, float, portable};

impl Kernel for Neon {
    float::float_methods!();

    #[inline(always)]
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        portable::code_squared_l2(a, b)
    }

    #[inline(always)]
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        portable::code_dot(a, b)
    }

    #[inline(always)]
    fn nibble_dots(self, block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES] {
        portable::nibble_dots(block, weights)
    }

    #[inline(always)]
    fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
        portable::sums_where_set(rows, weights)
    }

    #[inline(always)]
    fn lanes_at_least(self, values: &[f32; LANES], bound: f32) -> u16 {
        portable::lanes_at_least(values, bound)
    }
}
