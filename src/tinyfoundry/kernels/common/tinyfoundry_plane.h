/* Depthwise 3 x 3 windows over the plane of one channel, 2 x 2 outputs at a time.
 *
 * Four neighbours x0..x3 of a row, widened, are the words (x0, x2) and (x1, x3): two multiply-accumulates of halves and
 * two of single ones give what the row adds to two outputs. Weights are doubled, which the rescaling wants. */
#ifndef TINYFOUNDRY_PLANE_H
#define TINYFOUNDRY_PLANE_H

#include "tinyfoundry_dsp.h"

/* What a channel needs, in words: (w0, w2) of each of three rows, (w1 of row 0, w1 of row 1), (right shift, w1 of
 * row 2), bias, rounding term, multiplier. All weights and the bias are doubled. */
#define TF_PLANE_TERMS 8

#if defined(TF_DSP_ASM)
#define TF_PLANE_WIDEN                  \
    "sxtb16 %[z], %[x], ror #8\n\t"     \
    "sxtb16 %[x], %[x]\n\t"
/* Adds a row to two outputs; pair holds its w0 and w2, one (half `half`) its w1. */
#define TF_PLANE_ROW(left, right, pair, one, half, left_from, right_from)        \
    "smlad %[" left "], %[x], %[" pair "], %[" left_from "]\n\t"                 \
    "smlad %[" right "], %[z], %[" pair "], %[" right_from "]\n\t"               \
    "smlab" half " %[" left "], %[z], %[" one "], %[" left "]\n\t"               \
    "smlat" half " %[" right "], %[x], %[" one "], %[" right "]\n\t"
/* A sum as an output byte: x holds the rounding term, z the multiplier, k4 the right shift in its low byte. A result
 * below the rounding term comes of a negative sum, whose ties are to be broken away from zero. */
#define TF_PLANE_OUT(sum, offset)                          \
    "smmlar %[" sum "], %[" sum "], %[z], %[x]\n\t"        \
    ".if !%c[plain]\n\t"                                   \
    "cmp %[" sum "], %[x]\n\t"                             \
    "it lt\n\t"                                            \
    "sublt %[" sum "], #1\n\t"                             \
    ".endif\n\t"                                           \
    "asr %[" sum "], %[" sum "], %[k4]\n\t"                \
    "ssat %[" sum "], #8, %[" sum "]\n\t"                  \
    ".if %c[low] != -128\n\t"                              \
    "cmp %[" sum "], #%c[low]\n\t"                         \
    "it lt\n\t"                                            \
    "movlt %[" sum "], #%c[low]\n\t"                       \
    ".endif\n\t"                                           \
    ".if %c[high] != 127\n\t"                              \
    "cmp %[" sum "], #%c[high]\n\t"                        \
    "it gt\n\t"                                            \
    "movgt %[" sum "], #%c[high]\n\t"                      \
    ".endif\n\t"                                           \
    "strb %[" sum "], [%[y], #" offset "]\n\t"
#endif

#if defined(TF_DSP_ASM)
/* Two outputs more of two rows each, over and over. Weights go into registers; bias, end of the plane, rounding term,
 * multiplier and end of the row onto the stack. An odd last column is done by stepping back half a tile, which p then
 * shows by being no multiple of a tile's step. */
#define TF_PLANE_LOOP(rows, end_of_row)                                          \
    "ldrd %[k0], %[k1], [%[a]], #8\n\t"                                          \
    "ldrd %[k2], %[k3], [%[a]], #8\n\t"                                          \
    "ldrd %[k4], %[d], [%[a]], #8\n\t"                                           \
    "ldrd %[x], %[z], [%[a]]\n\t"                                                \
    "sub sp, #24\n\t"                                                            \
    "strd %[d], %[b], [sp]\n\t"                                                  \
    "strd %[x], %[z], [sp, #8]\n\t"                                              \
    "1:\n\t"                                                                     \
    "add %[v], %[p], #%c[stride]*%c[even]\n\t"                                   \
    "str %[v], [sp, #16]\n\t"                                                    \
    "2:\n\t"                                                                     \
    "ldr %[d], [sp]\n\t" rows                                                    \
    "ldrd %[x], %[z], [sp, #8]\n\t" TF_PLANE_OUT("a", "0")                       \
    TF_PLANE_OUT("b", "%c[out_c]")                                               \
    ".if %c[row] + %c[out_c] < 4096\n\t" TF_PLANE_OUT("c", "%c[row]")            \
    TF_PLANE_OUT("d", "%c[row]+%c[out_c]")                                       \
    "add %[y], #2*%c[out_c]\n\t"                                                 \
    ".else\n\t"                                                                  \
    "add %[y], #%c[row] & 0xFF000\n\t"                                           \
    "add %[y], #%c[row] & 0xFFF\n\t" TF_PLANE_OUT("c", "0")                      \
    TF_PLANE_OUT("d", "%c[out_c]")                                               \
    "sub %[y], #(%c[row] - 2*%c[out_c]) & 0xFF000\n\t"                           \
    "sub %[y], #(%c[row] - 2*%c[out_c]) & 0xFFF\n\t"                             \
    ".endif\n\t" end_of_row                                                      \
    "cmp %[p], %[v]\n\t"                                                         \
    "bne 2b\n\t"                                                                 \
    ".if %c[odd]\n\t"                                                            \
    "tst %[p], #%c[stride]\n\t"                                                  \
    "itttt eq\n\t"                                                               \
    "subeq %[p], #%c[stride]\n\t"                                                \
    "subweq %[y], %[y], #%c[out_c]\n\t"                                                 \
    "addeq %[v], #%c[stride]\n\t"                                                \
    "streq %[v], [sp, #16]\n\t"                                                  \
    "beq 2b\n\t"                                                                 \
    ".endif\n\t"                                                                 \
    "ldr %[b], [sp, #4]\n\t"                                                     \
    "add %[p], #%c[stride]*(2*%c[line]-%c[odd]-%c[even])\n\t"                    \
    ".if %c[row] >= 4096\n\t"                                                    \
    "add %[y], #%c[row] & 0xFF000\n\t"                                           \
    ".endif\n\t"                                                                 \
    "add %[y], #%c[row] & 0xFFF\n\t"                                             \
    "cmp %[p], %[b]\n\t"                                                         \
    "bne 1b\n\t"                                                                 \
    "add sp, #24\n\t"
#define TF_PLANE_ROWS_1                                                                                     \
    "ldr %[x], [%[p], #2*%c[line]]\n\t" TF_PLANE_WIDEN TF_PLANE_ROW("a", "b", "k2", "k4", "t", "d", "d")    \
    TF_PLANE_ROW("c", "d", "k1", "k3", "t", "d", "d")                                                       \
    "ldr %[x], [%[p], #3*%c[line]]\n\t" TF_PLANE_WIDEN TF_PLANE_ROW("c", "d", "k2", "k4", "t", "c", "d")    \
    "ldr %[x], [%[p], #%c[line]]\n\t" TF_PLANE_WIDEN TF_PLANE_ROW("a", "b", "k1", "k3", "t", "a", "b")      \
    TF_PLANE_ROW("c", "d", "k0", "k3", "b", "c", "d")                                                       \
    "ldr %[x], [%[p]], #2\n\t" TF_PLANE_WIDEN TF_PLANE_ROW("a", "b", "k0", "k3", "b", "a", "b")
/* Stride 2: the second output's neighbours x2..x4 come of a load of their own, x3 is had already. */
#define TF_PLANE_LOAD_2(row)                                     \
    "ldr %[x], [%[p], #" row "*%c[line]]\n\t"                    \
    "ldr %[v], [%[p], #" row "*%c[line]+2]\n\t" TF_PLANE_WIDEN   \
    "sxtb16 %[v], %[v]\n\t"
#define TF_PLANE_ROW_2(left, right, pair, one, half, left_from, right_from)      \
    "smlad %[" left "], %[x], %[" pair "], %[" left_from "]\n\t"                 \
    "smlad %[" right "], %[v], %[" pair "], %[" right_from "]\n\t"               \
    "smlab" half " %[" left "], %[z], %[" one "], %[" left "]\n\t"               \
    "smlat" half " %[" right "], %[z], %[" one "], %[" right "]\n\t"
#define TF_PLANE_ROWS_2                                                     \
    TF_PLANE_LOAD_2("2") TF_PLANE_ROW_2("a", "b", "k2", "k4", "t", "d", "d") \
    TF_PLANE_ROW_2("c", "d", "k0", "k3", "b", "d", "d")                     \
    TF_PLANE_LOAD_2("0") TF_PLANE_ROW_2("a", "b", "k0", "k3", "b", "a", "b") \
    TF_PLANE_LOAD_2("1") TF_PLANE_ROW_2("a", "b", "k1", "k3", "t", "a", "b") \
    TF_PLANE_LOAD_2("3") TF_PLANE_ROW_2("c", "d", "k1", "k3", "t", "c", "d") \
    TF_PLANE_LOAD_2("4") TF_PLANE_ROW_2("c", "d", "k2", "k4", "t", "c", "d") \
    "add %[p], #4\n\t"
#define TF_PLANE_ASM(rows, end_of_row)                                                                              \
    __asm__ volatile(TF_PLANE_LOOP(rows, end_of_row)                                                                         \
            : [a] "+&r"(a), [b] "+&r"(b), [c] "=&r"(c), [d] "=&r"(d), [x] "=&r"(x), [z] "=&r"(z), [v] "=&r"(v),     \
              [k0] "=&r"(k0), [k1] "=&r"(k1), [k2] "=&r"(k2), [k3] "=&r"(k3), [k4] "=&r"(k4), [p] "+&r"(plane),     \
              [y] "+&r"(y)                                                                                          \
            : [stride] "i"(stride), [line] "i"(line), [even] "i"(width / 2 * 2), [odd] "i"(width % 2),              \
              [out_c] "i"(out_c), [row] "i"(width * out_c), [plain] "i"(plain), [low] "i"(y_min), [high] "i"(y_max) \
            : "cc", "memory")
#endif

/* 2 * pairs rows of `width` >= 2 outputs of one channel; stride 1 or 2. A row of the plane is `line` bytes long, a
 * multiple of 4. An odd last column is computed with the one before it once more. Pixels lie out_c bytes apart. */
TF_INLINE void tf_plane_3x3(const int8_t *plane, const int32_t *terms, int8_t *y, int pairs, int stride, int line,
                                int width, int out_c, int plain, int y_min, int y_max)
{
#if defined(TF_DSP_ASM)
    int32_t a = (int32_t)terms, b = (int32_t)(plane + 2 * stride * pairs * line), c, d, x, z, v, k0, k1, k2, k3, k4;
    if (stride == 1) {
        TF_PLANE_ASM(TF_PLANE_ROWS_1, "");
    } else {
        TF_PLANE_ASM(TF_PLANE_ROWS_2, "ldr %[v], [sp, #16]\n\t");
    }
#else
    for (int row = 0; row < 2 * pairs; ++row) {
        for (int column = 0; column < width; ++column) {
            int32_t sum = terms[5];
            for (int ky = 0; ky < 3; ++ky) {
                const int8_t *const xs = plane + (stride * row + ky) * line + stride * column;
                const int32_t middle = ky == 0 ? (int16_t)terms[3] : (ky == 1 ? terms[3] : terms[4]) >> 16;
                sum += xs[0] * (int16_t)terms[ky] + xs[1] * middle + xs[2] * (terms[ky] >> 16);
            }
            int32_t t = tf_smmlar(sum, terms[7], terms[6]);
            if (!plain && t < terms[6]) {
                --t;
            }
            t >>= terms[4] & 0xFF;
            y[(row * width + column) * out_c] = (int8_t)(t < y_min ? y_min : (t > y_max ? y_max : t));
        }
    }
#endif
}

/* Four channels of `count` pixels that lie in_c bytes apart, each to its own plane. */
TF_INLINE void tf_plane_split(const int8_t *x, int in_c, int count, int8_t *to, int plane)
{
    int i = 0;
    for (; i + 4 <= count; i += 4, x += 4 * in_c) {
        const uint32_t a = tf_load4(x), b = tf_load4(x + in_c);
        const uint32_t c = tf_load4(x + 2 * in_c), d = tf_load4(x + 3 * in_c);
        const uint32_t even_ab = (a & 0x00FF00FF) | (b & 0x00FF00FF) << 8;
        const uint32_t even_cd = (c & 0x00FF00FF) | (d & 0x00FF00FF) << 8;
        const uint32_t odd_ab = (a >> 8 & 0x00FF00FF) | (b & 0xFF00FF00);
        const uint32_t odd_cd = (c >> 8 & 0x00FF00FF) | (d & 0xFF00FF00);
        tf_store4(to + i, (even_ab & 0xFFFF) | even_cd << 16);
        tf_store4(to + plane + i, (odd_ab & 0xFFFF) | odd_cd << 16);
        tf_store4(to + 2 * plane + i, even_ab >> 16 | (even_cd & 0xFFFF0000));
        tf_store4(to + 3 * plane + i, odd_ab >> 16 | (odd_cd & 0xFFFF0000));
    }
    for (; i < count; ++i, x += in_c) {
        for (int c = 0; c < 4; ++c) {
            to[c * plane + i] = x[c];
        }
    }
}

/* `count` bytes of padding, a multiple of 4. */
TF_INLINE void tf_plane_pad(int8_t *to, int count, int x_zero_point)
{
    for (int i = 0; i < count; i += 4) {
        tf_store4(to + i, (uint32_t)(uint8_t)x_zero_point * 0x01010101U);
    }
}

/* Fills the planes[4][rows][line] of four channels for a strip of windows whose first row is image row `top`. The first
 * `again` rows are the last ones of the strip above, unless there is none. Padding beside the rows is there already. */
TF_INLINE void tf_plane_fill(const int8_t *image, int8_t *planes, int rows, int again, int whole, int top, int in_h,
                                 int in_w, int in_c, int pad_left, int line, int x_zero_point)
{
    const int plane = whole * line;
    for (int p = 0; p < 4; ++p) {
        int8_t *const to = planes + p * plane;
        for (int i = 0; i < again * line; i += 4) {
            tf_store4(to + i, tf_load4(to + plane - again * line + i));
        }
    }
    for (int r = again; r < rows; ++r) {
        int8_t *const to = planes + r * line;
        const int iy = top + r;
        if (iy >= 0 && iy < in_h) {
            tf_plane_split(image + iy * in_w * in_c, in_c, in_w, to + pad_left, plane);
            continue;
        }
        for (int p = 0; p < 4; ++p) {
            tf_plane_pad(to + p * plane, line, x_zero_point);
        }
    }
}

#endif
