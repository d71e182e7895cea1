/* Memory of a server that went down again soon after it came back (RECOVERY §1.3): slower growth, and not as
 * far.
 *
 * The bound rises with the time up: what it could not bear 20 s after its start it may bear after 200.
 */
#ifndef LANE_RELAPSE_H
#define LANE_RELAPSE_H

#include "lane/window.h"

/* The lane goes down hard, up_us after it came up, with this window. */
void relapse_crash(struct lane_window *w, double window, int64_t up_us);
/* The lane has been up for up_us: forget after long enough. */
void relapse_forget(struct lane_window *w, int64_t up_us);
double relapse_doubling_s(const struct lane_window *w, double doubling_s);
double relapse_ssthresh(const struct lane_window *w);		/* INFINITY: none */
double relapse_cap(const struct lane_window *w, int64_t up_us); /* INFINITY: none */

#endif
