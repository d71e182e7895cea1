/* Makes the Nth allocation fail, and only that one.
 */
#ifndef TEST_FAILING_ALLOC_H
#define TEST_FAILING_ALLOC_H

#include <stdbool.h>

void failing_alloc_at(unsigned n); /* counted from 1, starting now; 0: none */
bool failing_alloc_happened(void); /* since failing_alloc_at */

#endif
