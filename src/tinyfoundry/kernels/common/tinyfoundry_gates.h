/* The curves of int16 gates: the twin of ops/_gates.py, bit for bit.
 * A Qm.n number is an int16 that stands for itself / 2^n, with m + n = 15. */
#ifndef TINYFOUNDRY_GATES_H
#define TINYFOUNDRY_GATES_H

#include "tinyfoundry_fixed.h"

/* The high 16 bits of 2ab, rounded, halves up. gemmlowp nudges by the sign and truncates, which is the same. */
static inline int32_t tf_high_mul16(int32_t a, int32_t b)
{
    return (a * b + (1 << 14)) >> 15;
}

/* exp(x) in Q0.15 for x in [-1/4, 0) in Q0.15: Taylor's series of degree 4 about -1/8. */
static inline int32_t tf_exp_of_rest16(int32_t x)
{
    const int32_t eighth = 28918; /* exp(-1/8) */
    const int32_t t = x + (1 << 12);
    const int32_t t2 = tf_high_mul16(t, t);
    const int32_t t3 = tf_high_mul16(t2, t);
    const int32_t t4 = tf_high_mul16(t2, t2);
    const int32_t higher = tf_high_mul16(tf_divide_by_pot(t4, 2) + t3, 10923 /* 1/3 */) + t2;
    return eighth + tf_high_mul16(eighth, t + tf_divide_by_pot(higher, 1));
}

/* exp(x) in Q0.15 for x <= 0 with this many integer bits, 1 to 7; exp(0) is the largest int16. */
static inline int32_t tf_exp16(int32_t x, int integer_bits)
{
    /* exp(-1/4), exp(-1/2), exp(-1), ... exp(-8): a factor for each bit of the quarters in x; exp(-16) is 0. */
    static const int16_t factors[] = {25520, 19875, 12055, 4435, 600, 11, 0};
    const int fraction_bits = 15 - integer_bits;
    const int32_t quarter = (int32_t)1 << (fraction_bits - 2);
    const int32_t rest = (x & (quarter - 1)) - quarter;
    const int32_t quarters = (rest - x) >> (fraction_bits - 2);
    int32_t result = tf_exp_of_rest16(rest * ((int32_t)1 << integer_bits));
    for (int bit = 0; bit < integer_bits + 2 && bit < 7; ++bit) {
        if ((quarters >> bit) & 1) {
            result = tf_high_mul16(result, factors[bit]);
        }
    }
    if (integer_bits > 5 && x < -((int32_t)32 << fraction_bits)) {
        result = 0;
    }
    return x == 0 ? INT16_MAX : result;
}

/* 2 / (1 + x) in Q2.13 for x in [0, 1] in Q0.15: three steps of Newton's method from (48 - 32 * (1 + x) / 2) / 17. */
static inline int32_t tf_two_over_one_plus16(int32_t x)
{
    const int32_t half = (x + INT16_MAX + 1) >> 1;
    int32_t guess = 23130 + tf_high_mul16(half, -15420);
    for (int step = 0; step < 3; ++step) {
        const int32_t error = (1 << 13) - tf_high_mul16(half, guess);
        guess += tf_clamp(tf_high_mul16(guess, error) * 4, INT16_MIN, INT16_MAX);
    }
    return guess;
}

/* 1 / (1 + exp(-x)) in Q0.15 for x in Q3.12. */
static inline int32_t tf_logistic16(int32_t x)
{
    const int32_t doubled = tf_two_over_one_plus16(tf_exp16(x > 0 ? -x : x, 3)) * 2;
    const int32_t positive = doubled > INT16_MAX ? INT16_MAX : doubled;
    return x == 0 ? 1 << 14 : (x > 0 ? positive : INT16_MAX - positive);
}

/* tanh(x) in Q0.15 for x with this many integer bits, 0 to 6: (1 - e) / (1 + e) with e = exp(-2|x|). */
static inline int32_t tf_tanh16(int32_t x, int integer_bits)
{
    const int32_t inverse = tf_two_over_one_plus16(tf_exp16(x > 0 ? -x : x, integer_bits + 1));
    const int32_t magnitude = tf_clamp((inverse - (1 << 13)) * 4, INT16_MIN, INT16_MAX);
    return x == 0 ? 0 : (x > 0 ? magnitude : -magnitude);
}

static inline int32_t tf_clamp16(int32_t x)
{
    return tf_clamp(x, INT16_MIN, INT16_MAX);
}

#endif
