/* Which slice an index means: what taking slices at indices of each type has in common. */
#ifndef TINYFOUNDRY_TAKE_H
#define TINYFOUNDRY_TAKE_H

#include <stdint.h>

/* Negative indices count from the end; beyond either end it is the nearest slice. */
static inline int tf_slice(int32_t index, int size)
{
    const int32_t counted = index < 0 ? index + size : index;
    return counted < 0 ? 0 : counted >= size ? size - 1 : counted;
}

/* Copies one slice of `inner` elements from each of `outer` parts of x[outer][size][inner], to places in y that
 * lie `step` elements apart. */
static inline void tf_take_slice(const int8_t *x, int8_t *y, int slice, int outer, int size, int inner, int step)
{
    for (int i = 0; i < outer; ++i) {
        for (int j = 0; j < inner; ++j) {
            y[i * step + j] = x[(i * size + slice) * inner + j];
        }
    }
}

#endif
