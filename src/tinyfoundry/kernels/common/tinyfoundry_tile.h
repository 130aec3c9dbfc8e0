/* Tiles of 4 pixels x 2 output channels: eight sums stay in registers while weights and inputs stream by.
 *
 * A word of weights holds two channels n0, n1 for two inputs: each half is 256 * n1 + n0. Multiplied as it is, it
 * gives 256 * sum1 + sum0; sign-extended from its low bytes, sum0. A word of inputs holds two inputs of one pixel as
 * halves; the words of the four pixels lie side by side, so that one pointer streams them. */
#ifndef TINYFOUNDRY_TILE_H
#define TINYFOUNDRY_TILE_H

#include "tinyfoundry_dsp.h"

/* `count` bytes of one pixel, widened; `apart` words lie between neighbours. Returns where the next go.
 * Inputs 4i, 4i + 2 and 4i + 1, 4i + 3 share words; of a rest of 3 the first and third do, of 2 both. */
TF_INLINE uint32_t *tf_tile_widen(const int8_t *from, int count, uint32_t *to, int apart)
{
    int i = 0;
    for (; i + 4 <= count; i += 4, to += 2 * apart) {
        const uint32_t word = tf_load4(from + i);
        to[0] = tf_sxtb16(word);
        to[apart] = tf_sxtb16(word >> 8 | word << 24);
    }
    if (count % 4 == 3) {
        to[0] = (uint16_t)from[i] | (uint32_t)from[i + 2] << 16;
        to[apart] = (uint16_t)from[i + 1];
        return to + 2 * apart;
    }
    if (count % 4 == 2) {
        to[0] = (uint16_t)from[i] | (uint32_t)from[i + 1] << 16;
        return to + apart;
    }
    if (count % 4 == 1) {
        to[0] = (uint16_t)from[i];
        return to + apart;
    }
    return to;
}

/* Twice the second channel's sum out of 256 * sum1 + sum0, which may have wrapped, and sum0. */
TF_INLINE int32_t tf_tile_high(int32_t both, int32_t low)
{
    return (int32_t)((uint32_t)both - (uint32_t)low) >> 7;
}

/* A sum brought to the output: terms are {rounding and zero point, multiplier, right shift}.
 * plain: the sign of the sum need not be looked at, because all that rounds otherwise is clamped. */
TF_INLINE int8_t tf_tile_out(int32_t doubled, const int32_t *terms, int plain, int y_min, int y_max)
{
    int32_t t = tf_smmlar(doubled, terms[1], terms[0]);
    if (!plain) {
        t += doubled >> 31;
    }
    t >>= terms[2];
    if (y_min == -128 && y_max == 127) {
        return (int8_t)tf_ssat8(t);
    }
    return (int8_t)(t < y_min ? y_min : (t > y_max ? y_max : t));
}

/* What a tile's sums begin with and how they become outputs, for two channels: 256 * bias1 + bias0, bias0, then for
 * each channel rounding term, multiplier and right shift. The rounding term is half a step of the result and the
 * output's zero point, before the shift. */
#define TF_TILE_TERMS 8

#if defined(TF_DSP_ASM)
#define TF_TILE_UNROLL 8

/* Two inputs of four pixels times two channels. The first step adds to b3 and l3, which hold the biases until they
 * are written themselves. */
#define TF_TILE_STEP(b0, b1, b2, l0, l1, l2)   \
    "ldr %[w], [%[pw]], #4\n\t"                \
    "ldr %[u], [%[px]], #4\n\t"                \
    "ldr %[v], [%[px]], #4\n\t"                \
    "sxtb16 %[n], %[w]\n\t"                    \
    "smlad %[b0], %[w], %[u], %[" b0 "]\n\t"   \
    "smlad %[b1], %[w], %[v], %[" b1 "]\n\t"   \
    "smlad %[l0], %[n], %[u], %[" l0 "]\n\t"   \
    "smlad %[l1], %[n], %[v], %[" l1 "]\n\t"   \
    "ldrd %[u], %[v], [%[px]], #8\n\t"         \
    "smlad %[b2], %[w], %[u], %[" b2 "]\n\t"   \
    "smlad %[b3], %[w], %[v], %[b3]\n\t"       \
    "smlad %[l2], %[n], %[u], %[" l2 "]\n\t"   \
    "smlad %[l3], %[n], %[v], %[l3]\n\t"

/* One of the steps before the loop. */
#define TF_TILE_REST(number) \
    ".if %c[rest] >= " number "\n\t" TF_TILE_STEP("b0", "b1", "b2", "l0", "l1", "l2") ".endif\n\t"

/* A sum as an output byte: n holds the rounding term, u the multiplier, v the right shift. What is added of the
 * sign breaks the ties of the second rounding away from zero. */
#define TF_TILE_OUT(sum, doubled, offset)                  \
    doubled(sum)                                           \
    "smmlar %[w], %[" sum "], %[u], %[n]\n\t"              \
    ".if !%c[plain]\n\t"                                   \
    "add %[w], %[w], %[" sum "], asr #31\n\t"              \
    ".endif\n\t"                                           \
    "asr %[w], %[w], %[v]\n\t"                             \
    "ssat %[w], #8, %[w]\n\t"                              \
    ".if %c[low] != -128\n\t"                              \
    "cmp %[w], #%c[low]\n\t"                               \
    "it lt\n\t"                                            \
    "movlt %[w], #%c[low]\n\t"                             \
    ".endif\n\t"                                           \
    ".if %c[high] != 127\n\t"                              \
    "cmp %[w], #%c[high]\n\t"                              \
    "it gt\n\t"                                            \
    "movgt %[w], #%c[high]\n\t"                            \
    ".endif\n\t"                                           \
    "strb %[w], [%[px], #" offset "]\n\t"
#define TF_TILE_LOW(sum) "lsl %[" sum "], %[" sum "], #1\n\t"
#define TF_TILE_BOTH(sum) "asr %[" sum "], %[" sum "], #7\n\t"
/* All channels, two at a time. The stack keeps where the outputs end, the inputs, the outputs, and where the weights of
 * the two end. */
#define TF_TILE_LOOP \
    "sub sp, #16\n\t" \
    "strd %[b0], %[b1], [sp]\n\t" \
    "str %[b2], [sp, #8]\n\t" \
    "1:\n\t" \
    "ldrd %[b3], %[l3], [%[pw]], #8\n\t" \
    "ldr %[px], [sp, #4]\n\t" \
    ".if %c[more]\n\t" \
    ".if %c[bytes] < 4096\n\t" \
    "add %[w], %[pw], #%c[bytes]\n\t" \
    ".else\n\t" \
    "movw %[w], #%c[bytes]\n\t" \
    "add %[w], %[pw]\n\t" \
    ".endif\n\t" \
    "str %[w], [sp, #12]\n\t" \
    ".endif\n\t" \
    TF_TILE_STEP("b3", "b3", "b3", "l3", "l3", "l3") \
    TF_TILE_REST("1") TF_TILE_REST("2") TF_TILE_REST("3") TF_TILE_REST("4") \
    TF_TILE_REST("5") TF_TILE_REST("6") TF_TILE_REST("7") \
    ".if %c[more]\n\t" \
    "2:\n\t" \
    TF_TIMES_8(TF_TILE_STEP("b0", "b1", "b2", "l0", "l1", "l2")) \
    "ldr %[w], [sp, #12]\n\t" \
    "cmp %[w], %[pw]\n\t" \
    "bne 2b\n\t" \
    ".endif\n\t" \
    "ldr %[px], [sp, #8]\n\t" \
    "ldrd %[n], %[u], [%[pw]], #8\n\t" \
    "ldr %[v], [%[pw]], #4\n\t" \
    ".if !%c[single]\n\t" \
    "sub %[b0], %[l0]\n\t" \
    "sub %[b1], %[l1]\n\t" \
    "sub %[b2], %[l2]\n\t" \
    "sub %[b3], %[l3]\n\t" \
    ".endif\n\t" \
    TF_TILE_OUT("l0", TF_TILE_LOW, "0") \
    TF_TILE_OUT("l1", TF_TILE_LOW, "%c[out_c]") \
    TF_TILE_OUT("l2", TF_TILE_LOW, "2*%c[out_c]") \
    TF_TILE_OUT("l3", TF_TILE_LOW, "3*%c[out_c]") \
    ".if !%c[single]\n\t" \
    "ldrd %[n], %[u], [%[pw]], #8\n\t" \
    "ldr %[v], [%[pw]], #4\n\t" \
    TF_TILE_OUT("b0", TF_TILE_BOTH, "1") \
    TF_TILE_OUT("b1", TF_TILE_BOTH, "%c[out_c]+1") \
    TF_TILE_OUT("b2", TF_TILE_BOTH, "2*%c[out_c]+1") \
    TF_TILE_OUT("b3", TF_TILE_BOTH, "3*%c[out_c]+1") \
    "ldr %[w], [sp]\n\t" \
    "add %[px], #2\n\t" \
    "str %[px], [sp, #8]\n\t" \
    "cmp %[w], %[px]\n\t" \
    "bne 1b\n\t" \
    ".endif\n\t" \
    "add sp, #16\n\t"
#endif

/* Outputs y[4][out_c] of four pixels whose inputs are widened in x. `channels` of them are computed, an even number
 * or, with single, the low one of one pair. stream: for each two channels 256 * bias1 + bias0, bias0, the words of
 * weights, then of each channel rounding term, multiplier and right shift. */
TF_INLINE void tf_tile_channels(const uint32_t *stream, const uint32_t *x, int8_t *y, int pairs, int channels, int out_c,
                                int single, int plain, int y_min, int y_max)
{
#if defined(TF_DSP_ASM)
    /* Registers of sums bring in what the stack keeps while they are in use. */
    int32_t b0 = (int32_t)(y + channels), b1 = (int32_t)x, b2 = (int32_t)y, b3, l0, l1, l2, l3;
    uint32_t word, n, u, v;
    __asm__ volatile(TF_TILE_LOOP
            : [b0] "+&r"(b0), [b1] "+&r"(b1), [b2] "+&r"(b2), [b3] "=&r"(b3), [l0] "=&r"(l0), [l1] "=&r"(l1),
              [l2] "=&r"(l2), [l3] "=&r"(l3), [w] "=&r"(word), [n] "=&r"(n), [u] "=&r"(u), [v] "=&r"(v),
              [pw] "+&r"(stream), [px] "=&r"(x)
            : [rest] "i"((pairs - 1) % TF_TILE_UNROLL), [more] "i"((pairs - 1) / TF_TILE_UNROLL != 0),
              [bytes] "i"(4 * pairs), [single] "i"(single), [plain] "i"(plain),
              [low] "i"(y_min), [high] "i"(y_max), [out_c] "i"(out_c)
            : "cc", "memory");
#else
    for (int oc = 0; oc < channels; oc += 2, stream += TF_TILE_TERMS + pairs) {
        const int32_t *const out = (const int32_t *)stream + 2 + pairs;
        int32_t both[4], low[4];
        for (int p = 0; p < 4; ++p) {
            both[p] = (int32_t)stream[0];
            low[p] = (int32_t)stream[1];
            for (int i = 0; i < pairs; ++i) {
                both[p] = tf_smlad(stream[2 + i], x[4 * i + p], both[p]);
                low[p] = tf_smlad(tf_sxtb16(stream[2 + i]), x[4 * i + p], low[p]);
            }
            y[p * out_c + oc] = tf_tile_out(low[p] * 2, out, plain, y_min, y_max);
            if (!single) {
                y[p * out_c + oc + 1] = tf_tile_out(tf_tile_high(both[p], low[p]), out + 3, plain, y_min, y_max);
            }
        }
    }
#endif
}

#endif
