/*
op = "take"
types = { x = "int8", indices = "int32", y = "int8" }
summary = "slices at computed int32 indices, plain C"
*/
#include <stdint.h>

#include "tinyfoundry_take.h"

/* Input x[outer][size][inner], output y[outer][count][inner]. */
static inline void take_s8_s32(const int8_t *x, const int32_t *indices, int8_t *y, int outer, int size, int inner,
                               int count)
{
    for (int i = 0; i < count; ++i) {
        const int slice = tf_slice(indices[i], size);
        tf_take_slice(x, y + i * inner, slice, outer, size, inner, count * inner);
    }
}
