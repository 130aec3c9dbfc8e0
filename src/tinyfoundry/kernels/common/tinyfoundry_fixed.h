/* Fixed-point arithmetic of TensorFlow Lite's int8 and 16x8 schemes: the twin of fixed.py, bit for bit.
 * A test holds the two equal. Right shifts of negative numbers are arithmetic, as on every compiler we target. */
#ifndef TINYFOUNDRY_FIXED_H
#define TINYFOUNDRY_FIXED_H

#include <stdint.h>

/* The high 32 bits of 2ab, rounded; saturates the one overflow. The multiplier is never -2^31, so no branch for it. */
static inline int32_t tf_high_mul(int32_t a, int32_t b)
{
    const int64_t product = (int64_t)a * b;
    const int64_t nudged = product + (product >= 0 ? (1 << 30) : 1 - (1 << 30));
    return (int32_t)(nudged / ((int64_t)1 << 31));
}

/* x / 2^exponent rounded to nearest, halves away from zero; exponent 0..31. */
static inline int32_t tf_divide_by_pot(int32_t x, int exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1);
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

/* acc * multiplier * 2^(shift - 31) with two roundings; multiplier in [2^30, 2^31) or 0, shift -31..30. */
static inline int32_t tf_requantize(int32_t acc, int32_t multiplier, int32_t shift)
{
    const int left = shift > 0 ? (int)shift : 0;
    const int right = shift > 0 ? 0 : (int)-shift;
    return tf_divide_by_pot(tf_high_mul((int32_t)((uint32_t)acc << left), multiplier), right);
}

/* acc * multiplier * 2^(shift - 31) for sums of 64 bits, |acc| < 2^47: the multiplier is cut to 15 bits and
 * the product rounded once, halves upwards; shift -31..7. */
static inline int32_t tf_requantize64(int64_t acc, int32_t multiplier, int32_t shift)
{
    const int32_t reduced = multiplier < 0x7FFF0000 ? (multiplier + (1 << 15)) >> 16 : 0x7FFF;
    const int total = (int)(15 - shift);
    return (int32_t)((acc * reduced + ((int64_t)1 << (total - 1))) >> total);
}

static inline int32_t tf_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : x);
}

#endif
