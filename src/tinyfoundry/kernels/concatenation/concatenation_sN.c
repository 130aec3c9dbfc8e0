/*
op = "concatenation"
types = { x = "element", y = "element" }
summary = "joins any number of tensors along any dimension, plain C"
*/
#include "tinyfoundry_fixed.h"

/* Each of count inputs is x[i][outer][sizes[i]]; y holds their rows in turn. */
static inline void concatenation_sN(const element_t *const x[], element_t *y, const int32_t *sizes,
                                    int count, int outer, int y_min, int y_max)
{
    for (int row = 0; row < outer; ++row) {
        for (int i = 0; i < count; ++i) {
            const element_t *const from = x[i] + row * sizes[i];
            for (int32_t j = 0; j < sizes[i]; ++j) {
                *y++ = (element_t)tf_clamp(from[j], y_min, y_max);
            }
        }
    }
}
