/* Verification of a window that grew while the server warmed up (RECOVERY §1.3, A-B-A).
 *
 * After a hard outage latency falls by itself (caches fill), which hides the queue that we make. So each time
 * W has grown by half since the last verification, latency is measured at W, at less, and at W again. The
 * elasticity of throughput to W, ε = 1 − ln(√(A1·A2)/B) / ln(1/less), is 1 on an idle server and 0 on a
 * saturated one.
 */
#ifndef LANE_COLD_H
#define LANE_COLD_H

#include "lane/window.h"

void cold_begin(struct lane_window *w, int64_t now_us);
void cold_end(struct lane_window *w);
/* What the window may be at most, by the time since the server came back; INFINITY: any. */
double cold_cap(const struct lane_window *w, int64_t now_us);
/* True when the window may not grow further before a verification. */
bool cold_due(const struct lane_window *w, int64_t now_us);
/* The three measurements are there: mean log latencies. */
void cold_judge(struct lane_window *w, double full_1, double less, double full_2, int64_t now_us);

#endif
