/* Depthwise 5 x 5 and 7 x 7 windows over the plane of one channel, four outputs of a row at a time.
 *
 * A load of x[j..j+3], widened, is the words (x[j], x[j+2]) and (x[j+1], x[j+3]); loads two bytes apart give every
 * pair that lies two apart, which is what two outputs of a row have in common. Weights are doubled, which the rescaling
 * wants. For each row of the window: (w0, w2), (w1, w3) and w4, or of seven (w4, w6) and w5. */
#ifndef TINYFOUNDRY_LINE_H
#define TINYFOUNDRY_LINE_H

#include "tinyfoundry_plane.h"

#if defined(TF_DSP_ASM)
#define TF_LINE_LOAD(offset) "ldr %[x], [%[p], #" offset "]\n\t" TF_PLANE_WIDEN
#define TF_LINE_LOAD_EVEN(offset) "ldr %[x], [%[p], #" offset "]\n\tsxtb16 %[x], %[x]\n\t"
#define TF_LINE_PAIR(sum, data, weight) "smlad %[" sum "], %[" data "], %[" weight "], %[" sum "]\n\t"
#define TF_LINE_ONE(sum, data, half, weight) \
    "smla" half "b %[" sum "], %[" data "], %[" weight "], %[" sum "]\n\t"
/* One row of the window; then the next row of the plane. */
#define TF_LINE_NEXT "add %[p], #%c[line]\n\t"
#define TF_LINE_5_1                                                                                  \
    "ldrd %[k0], %[k1], [%[w]], #8\n\t"                                                              \
    "ldr %[k2], [%[w]], #4\n\t" TF_LINE_LOAD("0")                                                    \
    TF_LINE_PAIR("a", "x", "k0") TF_LINE_PAIR("a", "z", "k1") TF_LINE_PAIR("b", "z", "k0")           \
    TF_LINE_LOAD("2")                                                                                \
    TF_LINE_PAIR("b", "x", "k1") TF_LINE_ONE("a", "x", "t", "k2") TF_LINE_PAIR("c", "x", "k0")       \
    TF_LINE_PAIR("c", "z", "k1") TF_LINE_PAIR("d", "z", "k0") TF_LINE_ONE("b", "z", "t", "k2")       \
    TF_LINE_LOAD("4")                                                                                \
    TF_LINE_PAIR("d", "x", "k1") TF_LINE_ONE("c", "x", "t", "k2") TF_LINE_ONE("d", "z", "t", "k2")
#define TF_LINE_5_2                                                                                  \
    "ldrd %[k0], %[k1], [%[w]], #8\n\t"                                                              \
    "ldr %[k2], [%[w]], #4\n\t" TF_LINE_LOAD("0")                                                    \
    TF_LINE_PAIR("a", "x", "k0") TF_LINE_PAIR("a", "z", "k1")                                        \
    TF_LINE_LOAD("2")                                                                                \
    TF_LINE_ONE("a", "x", "t", "k2") TF_LINE_PAIR("b", "x", "k0") TF_LINE_PAIR("b", "z", "k1")       \
    TF_LINE_LOAD("4")                                                                                \
    TF_LINE_ONE("b", "x", "t", "k2") TF_LINE_PAIR("c", "x", "k0") TF_LINE_PAIR("c", "z", "k1")       \
    TF_LINE_LOAD("6")                                                                                \
    TF_LINE_ONE("c", "x", "t", "k2") TF_LINE_PAIR("d", "x", "k0") TF_LINE_PAIR("d", "z", "k1")       \
    TF_LINE_LOAD_EVEN("8") TF_LINE_ONE("d", "x", "t", "k2")
#define TF_LINE_7_1                                                                                  \
    "ldrd %[k0], %[k1], [%[w]], #8\n\t"                                                              \
    "ldrd %[k2], %[k3], [%[w]], #8\n\t" TF_LINE_LOAD("0")                                            \
    TF_LINE_PAIR("a", "x", "k0") TF_LINE_PAIR("a", "z", "k1") TF_LINE_PAIR("b", "z", "k0")           \
    TF_LINE_LOAD("2")                                                                                \
    TF_LINE_PAIR("b", "x", "k1") TF_LINE_PAIR("c", "x", "k0") TF_LINE_PAIR("c", "z", "k1")           \
    TF_LINE_PAIR("d", "z", "k0")                                                                     \
    TF_LINE_LOAD("4")                                                                                \
    TF_LINE_PAIR("a", "x", "k2") TF_LINE_ONE("a", "z", "b", "k3") TF_LINE_PAIR("b", "z", "k2")       \
    TF_LINE_ONE("b", "x", "t", "k3") TF_LINE_PAIR("d", "x", "k1") TF_LINE_ONE("c", "z", "t", "k3")   \
    TF_LINE_LOAD("6")                                                                                \
    TF_LINE_PAIR("c", "x", "k2") TF_LINE_PAIR("d", "z", "k2") TF_LINE_ONE("d", "x", "t", "k3")
#define TF_LINE_7_2                                                                                  \
    "ldrd %[k0], %[k1], [%[w]], #8\n\t"                                                              \
    "ldrd %[k2], %[k3], [%[w]], #8\n\t" TF_LINE_LOAD("0")                                            \
    TF_LINE_PAIR("a", "x", "k0") TF_LINE_PAIR("a", "z", "k1")                                        \
    TF_LINE_LOAD("2")                                                                                \
    TF_LINE_PAIR("b", "x", "k0") TF_LINE_PAIR("b", "z", "k1") TF_LINE_ONE("a", "z", "t", "k3")       \
    TF_LINE_LOAD("4")                                                                                \
    TF_LINE_PAIR("a", "x", "k2") TF_LINE_PAIR("c", "x", "k0") TF_LINE_PAIR("c", "z", "k1")           \
    TF_LINE_ONE("b", "z", "t", "k3")                                                                 \
    TF_LINE_LOAD("6")                                                                                \
    TF_LINE_PAIR("b", "x", "k2") TF_LINE_PAIR("d", "x", "k0") TF_LINE_PAIR("d", "z", "k1")           \
    TF_LINE_ONE("c", "z", "t", "k3")                                                                 \
    TF_LINE_LOAD("8") TF_LINE_PAIR("c", "x", "k2") TF_LINE_ONE("d", "z", "t", "k3")                  \
    TF_LINE_LOAD_EVEN("10") TF_LINE_PAIR("d", "x", "k2")
/* Four outputs more, over and over; a last tile steps back where the width is no multiple of four. */
#define TF_LINE_LOOP(rows_of_window)                                         \
    "sub sp, #16\n\t"                                                        \
    "str %[b], [sp]\n\t"                                                     \
    "1:\n\t"                                                                 \
    "add %[x], %[p], #%c[stride]*%c[whole]\n\t"                              \
    "str %[x], [sp, #4]\n\t"                                                 \
    ".if %c[rest]\n\t"                                                       \
    "add %[x], #%c[stride]*%c[rest]\n\t"                                     \
    "str %[x], [sp, #8]\n\t"                                                 \
    ".endif\n\t"                                                             \
    "2:\n\t"                                                                 \
    "ldr %[a], [%[w]], #4\n\t"                                               \
    "mov %[b], %[a]\n\t"                                                     \
    "mov %[c], %[a]\n\t"                                                     \
    "mov %[d], %[a]\n\t"                                                     \
    rows_of_window                                                           \
    "ldrd %[x], %[z], [%[w]], #8\n\t"                                        \
    "ldr %[k4], [%[w]], #4\n\t" TF_PLANE_OUT("a", "0")                       \
    TF_PLANE_OUT("b", "%c[out_c]") TF_PLANE_OUT("c", "2*%c[out_c]")          \
    TF_PLANE_OUT("d", "3*%c[out_c]")                                         \
    "sub %[w], #%c[terms]\n\t"                                               \
    "ldr %[x], [sp, #4]\n\t"                                                 \
    "sub %[p], #%c[k]*%c[line]-4*%c[stride]\n\t"                             \
    "add %[y], #4*%c[out_c]\n\t"                                             \
    "cmp %[p], %[x]\n\t"                                                     \
    "bne 2b\n\t"                                                             \
    ".if %c[rest]\n\t"                                                       \
    "ldr %[x], [sp, #8]\n\t"                                                 \
    "cmp %[p], %[x]\n\t"                                                     \
    "ittt ne\n\t"                                                            \
    "strne %[x], [sp, #4]\n\t"                                               \
    "subwne %[p], %[p], #%c[stride]*(4-%c[rest])\n\t"                               \
    "subwne %[y], %[y], #%c[out_c]*(4-%c[rest])\n\t"                                \
    "bne 2b\n\t"                                                             \
    ".endif\n\t"                                                             \
    "ldr %[x], [sp]\n\t"                                                     \
    "add %[p], #%c[stride]*(%c[line]-%c[rest]-%c[whole])\n\t"                \
    "cmp %[p], %[x]\n\t"                                                     \
    "bne 1b\n\t"                                                             \
    "add sp, #16\n\t"
#define TF_LINE_ASM(rows_of_window)                                                                             \
    __asm__ volatile(TF_LINE_LOOP(rows_of_window)                                                                        \
            : [a] "=&r"(a), [b] "+&r"(b), [c] "=&r"(c), [d] "=&r"(d), [x] "=&r"(x), [z] "=&r"(z),               \
              [k0] "=&r"(k0), [k1] "=&r"(k1), [k2] "=&r"(k2), [k3] "=&r"(k3), [k4] "=&r"(k4), [w] "+&r"(terms), \
              [p] "+&r"(plane), [y] "+&r"(y)                                                                    \
            : [k] "i"(kernel), [stride] "i"(stride), [line] "i"(line), [whole] "i"(width / 4 * 4),              \
              [rest] "i"(width % 4), [out_c] "i"(out_c), [terms] "i"(16 + kernel * (kernel / 2 + 1) * 4),       \
              [plain] "i"(plain), [low] "i"(y_min), [high] "i"(y_max)                                           \
            : "cc", "memory")
#endif

/* `rows` rows of `width` >= 4 outputs of one channel; a window of 5 or 7 and a stride of 1 or 2 both ways. A row of
 * the plane is `line` bytes long, a multiple of 4. Pixels lie out_c bytes apart. terms: the doubled
 * bias, the weights, rounding term, multiplier and right shift. */
TF_INLINE void tf_line(const int8_t *plane, const int32_t *terms, int8_t *y, int rows, int kernel, int stride,
                           int line, int width, int out_c, int plain, int y_min, int y_max)
{
#if defined(TF_DSP_ASM)
    int32_t a, b = (int32_t)(plane + rows * stride * line), c, d, x, z, k0, k1, k2, k3, k4;
    if (kernel == 5 && stride == 1) {
        TF_LINE_ASM(TF_TIMES_5(TF_LINE_5_1 TF_LINE_NEXT));
    } else if (kernel == 5) {
        TF_LINE_ASM(TF_TIMES_5(TF_LINE_5_2 TF_LINE_NEXT));
    } else if (stride == 1) {
        TF_LINE_ASM(TF_TIMES_7(TF_LINE_7_1 TF_LINE_NEXT));
    } else {
        TF_LINE_ASM(TF_TIMES_7(TF_LINE_7_2 TF_LINE_NEXT));
    }
#else
    const int words = kernel / 2 + 1;
    const int32_t *const out = terms + 1 + kernel * words;
    for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < width; ++column) {
            int32_t sum = terms[0];
            for (int ky = 0; ky < kernel; ++ky) {
                const int8_t *const xs = plane + (stride * row + ky) * line + stride * column;
                const int32_t *const ws = terms + 1 + ky * words;
                sum += xs[0] * (int16_t)ws[0] + xs[2] * (ws[0] >> 16) + xs[1] * (int16_t)ws[1] +
                       xs[3] * (ws[1] >> 16) + xs[4] * (int16_t)ws[2];
                if (kernel == 7) {
                    sum += xs[6] * (ws[2] >> 16) + xs[5] * (int16_t)ws[3];
                }
            }
            int32_t t = tf_smmlar(sum, out[1], out[0]);
            if (!plain && t < out[0]) {
                --t;
            }
            t >>= out[2] & 0xFF;
            y[(row * width + column) * out_c] = (int8_t)(t < y_min ? y_min : (t > y_max ? y_max : t));
        }
    }
#endif
}

#endif
