/*
op = "add"
types = { x1 = "int8", x2 = "int8", y = "int8" }
summary = "addition or subtraction without broadcasting as one affine function, for the DSP extension"
isa = ["dsp"]
when = "same_shape and affine_exact"
*/
#include "tinyfoundry_dsp.h"

static inline int8_t add_affine_dsp_s8_out(int32_t sum, int shift, int y_min, int y_max)
{
    const int32_t t = tf_ssat8(sum >> shift);
    return (int8_t)(t < y_min ? y_min : (t > y_max ? y_max : t));
}

/* y may be an input: four elements are read before they are written. */
static inline void add_affine_dsp_s8(const int8_t *x1, const int8_t *x2, int8_t *y, int elements, int32_t affine_a,
                                     int32_t affine_b, int32_t affine_c, int affine_shift, int y_min, int y_max)
{
    int i = 0;
    for (; i + 4 <= elements; i += 4) {
        const uint32_t left = tf_load4(x1 + i), right = tf_load4(x2 + i);
        /* Halves of 256 * x: what the multiplication takes the high word of. */
        const uint32_t even1 = left << 8 & 0xFF00FF00, odd1 = left & 0xFF00FF00;
        const uint32_t even2 = right << 8 & 0xFF00FF00, odd2 = right & 0xFF00FF00;
        const int32_t s0 = tf_smlawb(affine_b, even2, tf_smlawb(affine_a, even1, affine_c));
        const int32_t s1 = tf_smlawb(affine_b, odd2, tf_smlawb(affine_a, odd1, affine_c));
        const int32_t s2 = tf_smlawt(affine_b, even2, tf_smlawt(affine_a, even1, affine_c));
        const int32_t s3 = tf_smlawt(affine_b, odd2, tf_smlawt(affine_a, odd1, affine_c));
        y[i] = add_affine_dsp_s8_out(s0, affine_shift, y_min, y_max);
        y[i + 1] = add_affine_dsp_s8_out(s1, affine_shift, y_min, y_max);
        y[i + 2] = add_affine_dsp_s8_out(s2, affine_shift, y_min, y_max);
        y[i + 3] = add_affine_dsp_s8_out(s3, affine_shift, y_min, y_max);
    }
    for (; i < elements; ++i) {
        const int32_t sum = tf_smlawb(affine_a, (uint32_t)x1[i] << 8, affine_c);
        y[i] = add_affine_dsp_s8_out(tf_smlawb(affine_b, (uint32_t)x2[i] << 8, sum), affine_shift, y_min, y_max);
    }
}
