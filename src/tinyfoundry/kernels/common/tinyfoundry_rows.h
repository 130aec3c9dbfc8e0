/* Eight rows of weights times one vector: the pairs of channels of tinyfoundry_tile.h, four words of weights (eight
 * channels of two inputs) after each other. */
#ifndef TINYFOUNDRY_ROWS_H
#define TINYFOUNDRY_ROWS_H

#include "tinyfoundry_tile.h"

#if defined(TF_DSP_ASM)
/* Two channels more for the inputs in v. */
#define TF_ROWS_PAIR(both, low, word)            \
    "smlad %[" both "], %[" word "], %[v], %[" both "]\n\t"    \
    "sxtb16 %[" word "], %[" word "]\n\t"           \
    "smlad %[" low "], %[" word "], %[v], %[" low "]\n\t"
/* Loads that follow each other cost a cycle less each. */
#define TF_ROWS_STEP                                                                       \
    "ldr %[v], [%[x]], #4\n\t"                                                             \
    "ldr %[w0], [%[w]], #4\n\t"                                                            \
    "ldr %[w1], [%[w]], #4\n\t" TF_ROWS_PAIR("b0", "l0", "w0") TF_ROWS_PAIR("b1", "l1", "w1") \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" TF_ROWS_PAIR("b2", "l2", "w0") TF_ROWS_PAIR("b3", "l3", "w1")
/* The stack keeps where the inputs end, and the sums. */
#define TF_ROWS_LOOP \
    "sub sp, #8\n\t" \
    "strd %[w0], %[w1], [sp]\n\t" \
    "ldrd %[b1], %[l1], [%[b0], #32]\n\t" \
    "ldrd %[b2], %[l2], [%[b0], #64]\n\t" \
    "ldrd %[b3], %[l3], [%[b0], #96]\n\t" \
    "ldrd %[b0], %[l0], [%[b0]]\n\t" \
    "1:\n\t" \
    TF_TIMES_4(TF_ROWS_STEP) \
    "ldr %[w0], [sp]\n\t" \
    "cmp %[w0], %[x]\n\t" \
    "bne 1b\n\t" \
    "ldr %[v], [sp, #4]\n\t" \
    "strd %[b0], %[l0], [%[v]]\n\t" \
    "strd %[b1], %[l1], [%[v], #8]\n\t" \
    "strd %[b2], %[l2], [%[v], #16]\n\t" \
    "strd %[b3], %[l3], [%[v], #24]\n\t" \
    "add sp, #8\n\t"
#endif

/* sums[4][2]: 256 * sum1 + sum0 and sum0 of four pairs of channels, from the biases at the beginning of their terms and
 * `pairs` words, a multiple of 4, of inputs. Returns the weights behind. */
TF_INLINE const uint32_t *tf_rows_sum(const uint32_t *w, const uint32_t *x, int pairs, const int32_t *terms,
                                      int32_t *sums)
{
#if defined(TF_DSP_ASM)
    /* w0 and w1 bring in what the stack keeps: where the inputs end and the sums; b0 the terms. */
    const int32_t *b0 = terms;
    const uint32_t *w0 = x + pairs;
    int32_t *w1 = sums;
    int32_t l0, b1, l1, b2, l2, b3, l3;
    uint32_t v;
    __asm__ volatile(TF_ROWS_LOOP
            : [b0] "+&r"(b0), [l0] "=&r"(l0), [b1] "=&r"(b1), [l1] "=&r"(l1), [b2] "=&r"(b2), [l2] "=&r"(l2),
              [b3] "=&r"(b3), [l3] "=&r"(l3), [w0] "+&r"(w0), [w1] "+&r"(w1), [v] "=&r"(v), [w] "+&r"(w),
              [x] "+&r"(x)
            :
            : "cc", "memory");
    return w;
#else
    for (int c = 0; c < 4; ++c) {
        sums[2 * c] = terms[TF_TILE_TERMS * c];
        sums[2 * c + 1] = terms[TF_TILE_TERMS * c + 1];
    }
    for (int i = 0; i < pairs; ++i) {
        for (int c = 0; c < 4; ++c, ++w) {
            sums[2 * c] = tf_smlad(*w, x[i], sums[2 * c]);
            sums[2 * c + 1] = tf_smlad(tf_sxtb16(*w), x[i], sums[2 * c + 1]);
        }
    }
    return w;
#endif
}

#endif
