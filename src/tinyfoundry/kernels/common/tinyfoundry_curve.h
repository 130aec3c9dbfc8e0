/* Functions of int16 values by tables with straight lines between: the twin of ops/_curve.py, bit for bit. */
#ifndef TINYFOUNDRY_CURVE_H
#define TINYFOUNDRY_CURVE_H

#include <stdint.h>

/* Value at x of a function given by 513 entries, 128 apart, from -32768 on. */
static inline int16_t tf_on_curve(int16_t x, const int16_t *table)
{
    const int index = 256 + (x >> 7);
    const int16_t slope = (int16_t)(table[index + 1] - table[index]);
    return (int16_t)(table[index] + ((slope * (x & 127) + 64) >> 7));
}

/* x * multiplier / 2^shift, rounded, in units of 1/12288: what the table of the sigmoid is entered with. */
static inline int32_t tf_sigmoid_place(int16_t x, int32_t multiplier, int shift)
{
    return (x * multiplier + (shift > 0 ? (int32_t)1 << (shift - 1) : 0)) >> shift;
}

/* sigmoid(|x| / 24 / 2^bits) * 2^(16 + bits) by a table of 256 entries; most stands for 2^16 beyond it. */
static inline int32_t tf_on_sigmoid(int32_t x, int bits, int32_t most, const uint16_t *table)
{
    const int32_t magnitude = x < 0 ? -x : x;
    const int32_t index = magnitude >> bits;
    if (index >= 255) {
        return most << bits;
    }
    const int32_t part = magnitude & ((1 << bits) - 1);
    return ((int32_t)table[index] << bits) + part * (table[index + 1] - table[index]);
}

#endif
