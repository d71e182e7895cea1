/* Bytes on their way: writing, segments, delivery, the ways in which a connection ends. Hosts and connecting:
 * net.c. */
#include "sim/link.h"

#include <stdlib.h>

#include "base/check.h"

enum {
	ACK_GAP_US = 1,	       /* two segments never arrive at the same moment */
	THAW_MAX_US = 3000000, /* a retransmission may be that far away when the path heals */
};

static void pipe_arrive(void *owner);

static void pipe_init(struct pipe *pipe, struct link *link, uint8_t side)
{
	pipe->link = link;
	pipe->side = side;
	buffer_init(&pipe->unsent, 0);
	buffer_init(&pipe->flying, 0);
	sim_event_init(&pipe->arrival, pipe_arrive, pipe);
	list_init(&pipe->watches);
}

static void pipe_deinit(struct pipe *pipe)
{
	sim_cancel(link_world(pipe->link), &pipe->arrival);
	buffer_deinit(&pipe->unsent);
	buffer_deinit(&pipe->flying);
	free(pipe->segments);
	list_each_safe(node, after, &pipe->watches)
		list_remove(node);
}

/* This end hears nothing any more: what was not delivered to it is lost. */
static void deafen(struct net_conn *conn)
{
	struct sim_world *world = link_world(conn->link);

	conn->alive = false;
	conn->events = NULL;
	sim_cancel(world, &conn->drained);
	list_each_safe(node, after, &conn->link->pipe[1 - conn->side].watches) {
		container_of(node, struct sim_watch, node)->lost_us = world->now_us;
		list_remove(node);
	}
}

static void fire_drained(void *owner)
{
	struct net_conn *conn = owner;

	if (conn->events != NULL && conn->alive && conn->events->drained != NULL)
		conn->events->drained(conn->owner);
}

static void end_over(struct net_conn *conn, enum net_end how, const char *detail)
{
	const struct net_events *events = conn->events;

	deafen(conn);
	conn->held = false;
	buffer_reset(&conn->link->pipe[conn->side].unsent);
	if (how == NET_END_EOF || how == NET_END_TLS)
		link_finish(conn);
	link_settle(conn->link);
	if (events != NULL)
		events->closed(conn->owner, how, detail);
}

/* TCP gave up retransmitting: both ends have, though each for itself, so whoever has nothing unacknowledged
 * waits on. */
static void fire_give_up(void *owner)
{
	struct link *link = owner;

	for (int i = 0; i < 2; i++) {
		if (link->end[i].alive &&
		    (link->pipe[i].count > 0 || buffer_size(&link->pipe[i].unsent) > 0)) {
			link->pipe[i].finished = true;
			end_over(&link->end[i], NET_END_TIMEOUT, "no acknowledgement");
		}
	}
}

static void fire_doom(void *owner)
{
	struct link *link = owner;

	if (link->doom == DOOM_RESET)
		link_cut(link);
	else if (link->doom == DOOM_SILENT)
		link->silent = true;
	link->doom = DOOM_NONE;
}

struct link *link_new(struct sim_net *net, struct sim_host *from, struct sim_host *to,
		      const struct net_address *address)
{
	struct link *link = sim_alloc(sizeof(struct link));

	*link = (struct link){
	    .net = net, .number = ++net->links_made, .host = {from, to}, .cut_max = LINK_PACKET_BYTES};
	for (uint8_t i = 0; i < 2; i++) {
		link->end[i] = (struct net_conn){.link = link, .side = i};
		sim_event_init(&link->end[i].drained, fire_drained, &link->end[i]);
		pipe_init(&link->pipe[i], link, i);
	}
	sim_event_init(&link->give_up, fire_give_up, link);
	link->address[0] = from->address;
	link->address[0].port = from->next_port++;
	link->address[1] = *address;
	link->end[0].held = true;
	link->end[0].alive = true;
	list_add_last(&net->links, &link->node);
	return link;
}

void link_free(struct link *link)
{
	struct sim_world *world = link_world(link);

	sim_cancel(world, &link->step);
	sim_cancel(world, &link->give_up);
	for (int i = 0; i < 2; i++) {
		sim_cancel(world, &link->end[i].drained);
		pipe_deinit(&link->pipe[i]);
	}
	list_remove(&link->node);
	free(link);
}

void link_settle(struct link *link)
{
	if (!link->end[0].alive && !link->end[1].alive)
		sim_after(link_world(link), &link->net->reap, 0);
}

void link_open(struct link *link)
{
	struct sim_world *world = link_world(link);

	if (link->doom != DOOM_NONE) {
		/* Half of the dooms come at a byte, half at a moment, when nothing may be on its way. */
		link->doom_bytes = sim_log_uniform(world, 1, 100000);
		sim_event_init(&link->step, fire_doom, link);
		if (sim_chance(world, 0.5)) {
			link->doom_bytes = INT64_MAX;
			sim_after(world, &link->step, sim_log_uniform(world, 1000, CLOCK_SECONDS(100)));
		}
	}
}

/* --- sending
 * ----------------------------------------------------------------------------------------------------------
 */

static bool link_stands_still(const struct link *link)
{
	if (link->silent)
		return true;
	for (int i = 0; i < 2; i++)
		if (link->host[i] != NULL && (link->host[i]->reach == SIM_REACH_BLACK_HOLE ||
					      link->host[i]->reach == SIM_REACH_UNREACHABLE))
			return true;
	return false;
}

/* Nothing moves, but somebody is waiting for an acknowledgement: TCP will not wait for ever. */
static void mind_giving_up(struct link *link)
{
	if (!sim_queued(&link->give_up))
		sim_after(link_world(link), &link->give_up, LINK_GIVE_UP_US);
}

static void pipe_schedule(struct pipe *pipe)
{
	if (pipe->count == 0)
		return;
	if (link_stands_still(pipe->link))
		mind_giving_up(pipe->link);
	else
		sim_at(link_world(pipe->link), &pipe->arrival, pipe->segments[pipe->first].arrives_us);
}

static void pipe_make_room(struct pipe *pipe)
{
	if (pipe->first + pipe->count < pipe->capacity)
		return;
	if (pipe->first > pipe->count) {
		for (size_t i = 0; i < pipe->count; i++)
			pipe->segments[i] = pipe->segments[pipe->first + i];
		pipe->first = 0;
		return;
	}
	pipe->capacity = pipe->capacity > 0 ? pipe->capacity * 2 : 16;
	pipe->segments = sim_grow(pipe->segments, pipe->capacity, sizeof(struct segment));
}

static void pipe_add(struct pipe *pipe, enum segment_kind kind, uint32_t size)
{
	struct link *link = pipe->link;
	struct sim_world *world = link_world(link);
	int64_t start = pipe->line_free_us > world->now_us ? pipe->line_free_us : world->now_us;

	pipe_make_room(pipe);
	pipe->line_free_us = start + (int64_t)size * 1000000 / link->bytes_per_s;
	int64_t arrives = pipe->line_free_us + link->latency_us;
	if (pipe->count > 0 && arrives <= pipe->segments[pipe->first + pipe->count - 1].arrives_us)
		arrives = pipe->segments[pipe->first + pipe->count - 1].arrives_us + ACK_GAP_US;
	pipe->segments[pipe->first + pipe->count++] =
	    (struct segment){.arrives_us = arrives,
			     .size = size,
			     .kind = (uint8_t)kind,
			     .tls = link->end[pipe->side].tls_started};
	if (kind == SEGMENT_FIN || kind == SEGMENT_RESET)
		pipe->finished = true;
	if (pipe->count == 1)
		pipe_schedule(pipe);
}

static uint32_t cut_size(struct pipe *pipe, size_t available)
{
	uint32_t limit = pipe->taken < LINK_TINY_BYTES ? pipe->link->cut_max : LINK_PACKET_BYTES;
	uint32_t size = available < limit ? (uint32_t)available : limit;

	/* Mostly all there is, as on a real network; sometimes cut anywhere. */
	if (limit < LINK_PACKET_BYTES || sim_chance(link_world(pipe->link), 0.2))
		size = 1 + (uint32_t)rng_below(&link_world(pipe->link)->rng, size);
	return size;
}

/* The system takes what the window lets it take. */
static void pipe_pump(struct pipe *pipe)
{
	struct net_conn *from = &pipe->link->end[pipe->side];
	bool had = buffer_size(&pipe->unsent) > 0;

	while (buffer_size(&pipe->unsent) > 0 && buffer_size(&pipe->flying) < LINK_WINDOW_BYTES) {
		uint32_t size = cut_size(pipe, buffer_size(&pipe->unsent));
		check(buffer_append(&pipe->flying, buffer_slice(&pipe->unsent).data, size) == 0);
		buffer_consume(&pipe->unsent, size);
		pipe->taken += size;
		pipe_add(pipe, SEGMENT_DATA, size);
	}
	if (buffer_size(&pipe->unsent) > 0)
		return;
	if (pipe->fin_wanted && !pipe->finished)
		pipe_add(pipe, SEGMENT_FIN, 0);
	if (had && from->want_drained) {
		from->want_drained = false;
		sim_after(link_world(pipe->link), &from->drained, 0);
	}
}

void link_write(struct net_conn *conn, struct slice bytes)
{
	struct pipe *pipe = &conn->link->pipe[conn->side];

	if (bytes.size == 0 || pipe->finished || pipe->fin_wanted || !conn->alive)
		return;
	check(buffer_add(&pipe->unsent, bytes) == 0);
	pipe->written += bytes.size;
	conn->want_drained = true;
	if (conn->link->state == LINK_ANSWERED || conn->link->state == LINK_OPEN)
		pipe_pump(pipe);
}

void link_hello(struct net_conn *conn)
{
	struct pipe *pipe = &conn->link->pipe[conn->side];

	/* What was written before goes out before: the window does not matter for so little. */
	while (buffer_size(&pipe->unsent) > 0) {
		uint32_t size = (uint32_t)buffer_size(&pipe->unsent);
		check(buffer_append(&pipe->flying, buffer_slice(&pipe->unsent).data, size) == 0);
		buffer_consume(&pipe->unsent, size);
		pipe_add(pipe, SEGMENT_DATA, size);
	}
	conn->tls_started = true;
	pipe_add(pipe, conn->link->tls_fails ? SEGMENT_ALERT : SEGMENT_HELLO, 0);
}

/* --- delivery
 * ---------------------------------------------------------------------------------------------------------
 */

static void pipe_drop_first(struct pipe *pipe)
{
	buffer_consume(&pipe->flying, pipe->segments[pipe->first].size);
	pipe->first = pipe->count > 1 ? pipe->first + 1 : 0;
	pipe->count--;
}

static void note_watches(struct pipe *pipe)
{
	list_each_safe(node, after, &pipe->watches) {
		struct sim_watch *watch = container_of(node, struct sim_watch, node);
		if (pipe->delivered < watch->offset)
			continue;
		watch->delivered_us = link_world(pipe->link)->now_us;
		list_remove(node);
	}
}

/* Bytes for a socket that is gone: its system answers with a reset. */
static void answer_reset(struct net_conn *gone)
{
	struct pipe *back = &gone->link->pipe[gone->side];

	if (gone->link->ghost[gone->side] && gone->link->host[gone->side]->reach != SIM_REACH_OK)
		return;
	if (!other_end(gone)->alive || (back->finished && back->count > 0 &&
					back->segments[back->first + back->count - 1].kind == SEGMENT_RESET))
		return;
	buffer_reset(&back->unsent);
	pipe_add(back, SEGMENT_RESET, 0);
}

static void deliver_data(struct pipe *pipe, struct net_conn *to, struct slice bytes)
{
	struct link *link = pipe->link;

	sim_note_numbers(link_world(link), link->number * 2 + pipe->side, bytes.size);
	pipe->delivered += bytes.size;
	note_watches(pipe);
	link->doom_bytes -= (int64_t)bytes.size;
	to->events->received(to->owner, bytes);
	if (link->doom != DOOM_NONE && link->doom_bytes <= 0)
		sim_after(link_world(link), &link->step, 0);
}

/* The segment waits until the owner is ready for it. */
static bool must_wait(const struct net_conn *to, const struct segment *segment)
{
	if (to->events == NULL || to->paused)
		return true;
	if (segment->kind == SEGMENT_HELLO)
		return !to->tls_started;
	return segment->kind == SEGMENT_DATA && segment->tls && !to->tls;
}

static void deliver(struct pipe *pipe, struct net_conn *to)
{
	static const struct net_tls_state tls = {.version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384"};
	const struct segment segment = pipe->segments[pipe->first];
	/* Taken off first: its owner may drop the rest. The bytes stay where they are until the peer writes.
	 */
	struct slice bytes = slice_make(buffer_slice(&pipe->flying).data, segment.size);

	pipe_drop_first(pipe);
	switch ((enum segment_kind)segment.kind) {
	case SEGMENT_DATA:
		if (to->tls_started && !segment.tls) /* plain text instead of a handshake */
			end_over(to, NET_END_TLS, "wrong version number");
		else
			deliver_data(pipe, to, bytes);
		break;
	case SEGMENT_HELLO:
		to->tls = true;
		to->events->secured(to->owner, &tls);
		break;
	case SEGMENT_FIN:
		end_over(to, NET_END_EOF, "");
		break;
	case SEGMENT_RESET:
		end_over(to, NET_END_RESET, "connection reset by peer");
		break;
	case SEGMENT_ALERT:
		end_over(to, NET_END_TLS, "handshake failure");
		break;
	default:
		check_never();
	}
}

static void pipe_arrive(void *owner)
{
	struct pipe *pipe = owner;
	struct net_conn *to = &pipe->link->end[1 - pipe->side];

	if (pipe->count == 0 || link_stands_still(pipe->link)) {
		pipe_schedule(pipe);
		return;
	}
	sim_cancel(link_world(pipe->link), &pipe->link->give_up);
	struct segment *segment = &pipe->segments[pipe->first];
	if (!to->alive) {
		if (segment->kind != SEGMENT_FIN && segment->kind != SEGMENT_RESET)
			answer_reset(to);
		pipe_drop_first(pipe);
	} else if (must_wait(to, segment)) {
		return; /* link_resume goes on */
	} else {
		deliver(pipe, to);
	}
	pipe_pump(pipe);
	pipe_schedule(pipe);
}

void link_resume(struct net_conn *conn)
{
	struct pipe *pipe = &conn->link->pipe[1 - conn->side];

	if (!sim_queued(&pipe->arrival))
		pipe_schedule(pipe);
}

/* What came in plain text before the handshake and was not read is dropped (RFC 3207 §4.2). */
void link_drop_arrived(struct net_conn *conn)
{
	struct pipe *pipe = &conn->link->pipe[1 - conn->side];

	while (pipe->count > 0 && pipe->segments[pipe->first].kind == SEGMENT_DATA &&
	       !pipe->segments[pipe->first].tls &&
	       pipe->segments[pipe->first].arrives_us <= link_world(conn->link)->now_us)
		pipe_drop_first(pipe);
	sim_cancel(link_world(conn->link), &pipe->arrival);
	pipe_schedule(pipe);
}

void link_thaw(struct link *link)
{
	struct sim_world *world = link_world(link);

	if (link_stands_still(link))
		return;
	sim_cancel(world, &link->give_up);
	for (int i = 0; i < 2; i++)
		if (link->pipe[i].count > 0)
			sim_after(world, &link->pipe[i].arrival, sim_between(world, 1000, THAW_MAX_US));
}

/* --- ends
 * ---------------------------------------------------------------------------------------------------------------
 */

void link_finish(struct net_conn *conn)
{
	struct pipe *pipe = &conn->link->pipe[conn->side];

	pipe->fin_wanted = true;
	if (conn->link->state == LINK_ANSWERED || conn->link->state == LINK_OPEN)
		pipe_pump(pipe);
}

static bool has_unread(const struct net_conn *conn)
{
	const struct pipe *pipe = &conn->link->pipe[1 - conn->side];

	return pipe->count > 0 && pipe->segments[pipe->first].kind == SEGMENT_DATA &&
	       pipe->segments[pipe->first].arrives_us <= link_world(conn->link)->now_us;
}

static void socket_closed(struct net_conn *conn, bool flush)
{
	struct link *link = conn->link;

	bool unread = has_unread(conn);

	deafen(conn);
	if (!flush || unread)
		buffer_reset(&link->pipe[conn->side].unsent);
	if (link->state == LINK_FAILED || link->state == LINK_CONNECTING)
		return;
	if (unread)
		answer_reset(conn);
	else
		link_finish(conn);
	link_resume(conn); /* what still comes is answered by the system */
}

void link_close(struct net_conn *conn, bool flush)
{
	if (conn->alive)
		socket_closed(conn, flush);
	conn->held = false;
	link_settle(conn->link);
}

void link_killed(struct net_conn *conn)
{
	if (conn->alive)
		socket_closed(conn, false);
	link_settle(conn->link);
}

void link_vanish(struct net_conn *conn)
{
	struct link *link = conn->link;

	deafen(conn);
	link->ghost[conn->side] = true;
	/* Nobody is left to send again what has not arrived. */
	struct pipe *pipe = &link->pipe[conn->side];
	sim_cancel(link_world(link), &pipe->arrival);
	buffer_reset(&pipe->unsent);
	buffer_reset(&pipe->flying);
	pipe->count = 0;
	pipe->finished = true;
	link_settle(link);
}

void link_reset(struct net_conn *conn)
{
	if (conn->link->state == LINK_OPEN)
		answer_reset(conn);
	deafen(conn);
	conn->held = false;
	link_settle(conn->link);
}

static void pipe_cut(struct pipe *pipe)
{
	struct sim_world *world = link_world(pipe->link);
	size_t keep = (size_t)rng_below(&world->rng, pipe->count + 1), bytes = 0;

	buffer_reset(&pipe->unsent);
	pipe->count = keep;
	for (size_t i = 0; i < keep; i++)
		bytes += pipe->segments[pipe->first + i].size;
	buffer_truncate(&pipe->flying, bytes);
	if (keep == 0)
		sim_cancel(world, &pipe->arrival);
	pipe_add(pipe, SEGMENT_RESET, 0);
}

void link_cut(struct link *link)
{
	sim_note(link_world(link), "connection %llu is cut", (unsigned long long)link->number);
	for (int i = 0; i < 2; i++)
		pipe_cut(&link->pipe[i]);
}
