#include "store/spool_index.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/wire.h"

enum { INDEX_READERS = 8, INDEX_MODE = 0600 };
static const uint64_t sign_bit = UINT64_C(1) << 63;

static const char *const table_names[INDEX_TABLES] = {"message", "order",   "place", "end",   "pair",
						      "domain",	 "segment", "aside", "state", "gone"};

struct index_txn {
	struct spool_index *index;
	MDB_txn *txn;
};

struct spool_index {
	MDB_env *env;
	MDB_dbi tables[INDEX_TABLES];
	bool lacks_gone; /* read only, and of an older version */
	MDB_txn *reading;
	unsigned depth;
	bool lost; /* LMDB has given up: nothing can be read any more */
	struct index_txn writing;
};

struct index_cursor {
	MDB_cursor *cursor;
};

static int error_of(int result)
{
	switch (result) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return ERR_MISSING;
	case ENOMEM:
		return ERR_MEMORY;
	case ENOSPC:
	case EDQUOT:
	case MDB_MAP_FULL:
		return ERR_LIMIT;
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INCOMPATIBLE:
	case MDB_BAD_DBI:
		return ERR_CORRUPT;
	case MDB_VERSION_MISMATCH:
		return ERR_VERSION;
	default: /* MDB_PANIC too: the last page of a commit could not be written */
		return ERR_IO;
	}
}

static MDB_val val(struct slice s)
{
	return (MDB_val){.mv_data = (void *)s.data, .mv_size = s.size};
}

static MDB_val key_val(const struct index_key *key)
{
	return (MDB_val){.mv_data = (void *)key->bytes, .mv_size = key->size};
}

static struct slice slice_of_val(MDB_val v)
{
	return slice_make(v.mv_data, v.mv_size);
}

/* --- opening ------------------------------------------------------------------------------------- */

/* LMDB syncs its file but not the folder that it made it in. */
static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd >= 0 ? fsync(fd) : -1;

	if (fd >= 0)
		(void)close(fd);
	return result == 0 ? 0 : ERR_IO;
}

static int open_tables(struct spool_index *index, enum index_mode mode)
{
	MDB_txn *txn;
	bool reads = mode == INDEX_READ_ONLY;
	int result = mdb_txn_begin(index->env, NULL, reads ? MDB_RDONLY : 0, &txn);

	if (result != 0)
		return error_of(result);
	for (int i = 0; i < INDEX_TABLES; i++) {
		result = mdb_dbi_open(txn, table_names[i], reads ? 0 : MDB_CREATE, &index->tables[i]);
		if (result == MDB_NOTFOUND && i == INDEX_GONE) {
			index->lacks_gone = true;
			result = 0;
		}
		if (result != 0) {
			mdb_txn_abort(txn);
			return error_of(result);
		}
	}
	return error_of(mdb_txn_commit(txn));
}

static int open_env(struct spool_index *index, const char *path, enum index_mode mode, uint64_t map_bytes)
{
	static const unsigned flags[] = {
	    [INDEX_SYNCED] = MDB_NOTLS,
	    [INDEX_UNSYNCED] = MDB_NOTLS | MDB_NOSYNC,
	    [INDEX_READ_ONLY] = MDB_NOTLS | MDB_RDONLY | MDB_NOLOCK,
	};
	int dead;
	int result = mdb_env_create(&index->env);

	if (result == 0)
		result = mdb_env_set_mapsize(index->env, map_bytes);
	if (result == 0)
		result = mdb_env_set_maxdbs(index->env, INDEX_TABLES);
	if (result == 0)
		result = mdb_env_set_maxreaders(index->env, INDEX_READERS);
	if (result == 0)
		result = mdb_env_open(index->env, path, flags[mode], INDEX_MODE);
	if (result == ENOENT && mode == INDEX_READ_ONLY)
		return ERR_MISSING;
	if (result == 0 && mode != INDEX_READ_ONLY)
		result = mdb_reader_check(index->env, &dead);
	return error_of(result);
}

int index_open(const char *path, enum index_mode mode, uint64_t map_bytes, struct spool_index **ret_index)
{
	struct spool_index *index = calloc(1, sizeof(*index));

	if (index == NULL)
		return ERR_MEMORY;
	int error = open_env(index, path, mode, map_bytes);
	if (error == 0)
		error = open_tables(index, mode);
	if (error == 0 && mode == INDEX_SYNCED)
		error = sync_folder(path);
	if (error == 0)
		error = error_of(mdb_txn_begin(index->env, NULL, MDB_RDONLY, &index->reading));
	if (error != 0) {
		index_close(index);
		return error;
	}
	mdb_txn_reset(index->reading);
	*ret_index = index;
	return 0;
}

void index_close(struct spool_index *index)
{
	if (index == NULL)
		return;
	if (index->reading != NULL)
		mdb_txn_abort(index->reading);
	if (index->env != NULL)
		mdb_env_close(index->env);
	free(index);
}

/* --- keys ---------------------------------------------------------------------------------------- */

static void add_u64(struct index_key *key, uint64_t number)
{
	number = htobe64(number);
	memcpy(key->bytes + key->size, &number, sizeof(number));
	key->size += sizeof(number);
}

static void add_u32(struct index_key *key, uint32_t number)
{
	number = htobe32(number);
	memcpy(key->bytes + key->size, &number, sizeof(number));
	key->size += sizeof(number);
}

static void add_bytes(struct index_key *key, struct slice bytes)
{
	check(bytes.size <= INDEX_KEY_MAX - key->size);
	if (bytes.size > 0)
		memcpy(key->bytes + key->size, bytes.data, bytes.size);
	key->size += bytes.size;
}

struct index_key index_key_u64(uint64_t number)
{
	struct index_key key = {.size = 0};

	add_u64(&key, number);
	return key;
}

struct index_key index_key_u32(uint32_t number)
{
	struct index_key key = {.size = 0};

	add_u32(&key, number);
	return key;
}

struct index_key index_key_order(uint32_t domain, uint64_t id)
{
	struct index_key key = index_key_u32(domain);

	add_u64(&key, id);
	return key;
}

struct index_key index_key_end(int64_t ended_ms, uint64_t seq)
{
	struct index_key key = index_key_u64((uint64_t)ended_ms ^ sign_bit);

	add_u64(&key, seq);
	return key;
}

struct index_key index_key_place(uint64_t segment, uint64_t id)
{
	struct index_key key = index_key_u64(segment);

	add_bytes(&key, SLICE("m"));
	add_u64(&key, id);
	return key;
}

struct index_key index_key_place_pair(uint64_t segment, struct slice name)
{
	struct index_key key = index_key_u64(segment);

	add_bytes(&key, SLICE("p"));
	add_bytes(&key, name);
	return key;
}

struct index_key index_key_gone(uint64_t id)
{
	struct index_key key = index_key_bytes(SLICE("m"));

	add_u64(&key, id);
	return key;
}

struct index_key index_key_gone_pair(struct slice name)
{
	struct index_key key = index_key_bytes(SLICE("p"));

	add_bytes(&key, name);
	return key;
}

struct index_key index_key_bytes(struct slice bytes)
{
	struct index_key key = {.size = 0};

	add_bytes(&key, bytes);
	return key;
}

uint64_t index_u64_at(struct slice key, size_t at)
{
	uint64_t number;

	if (key.size < at + sizeof(number))
		return 0;
	memcpy(&number, key.data + at, sizeof(number));
	return be64toh(number);
}

/* --- reading ------------------------------------------------------------------------------------- */

int index_read_begin(struct spool_index *index)
{
	if (index->depth == 0) {
		int result = index->lost ? 0 : mdb_txn_renew(index->reading);
		if (result == ENOMEM)
			return ERR_MEMORY;
		index->lost = index->lost || result != 0;
	}
	index->depth++;
	return 0;
}

void index_read_end(struct spool_index *index)
{
	check(index->depth > 0);
	if (--index->depth == 0 && !index->lost)
		mdb_txn_reset(index->reading);
}

static int get(MDB_txn *txn, MDB_dbi table, const struct index_key *key, struct slice *ret_value)
{
	MDB_val k = key_val(key), v;
	int error = error_of(mdb_get(txn, table, &k, &v));

	if (error == 0)
		*ret_value = slice_of_val(v);
	return error == 0 || error == ERR_MISSING ? error : ERR_IO;
}

int index_get(struct spool_index *index, enum index_table table, const struct index_key *key,
	      struct slice *ret_value)
{
	check(index->depth > 0);
	if (index->lost)
		return ERR_IO;
	if (table == INDEX_GONE && index->lacks_gone)
		return ERR_MISSING;
	return get(index->reading, index->tables[table], key, ret_value);
}

struct index_cursor *index_cursor_new(struct spool_index *index, enum index_table table)
{
	struct index_cursor *c = malloc(sizeof(*c));

	check(index->depth > 0);
	if (c == NULL)
		return NULL;
	c->cursor = NULL;
	if (index->lost) /* whoever moves it hears of it */
		return c;
	if (mdb_cursor_open(index->reading, index->tables[table], &c->cursor) != 0) {
		free(c);
		return NULL;
	}
	return c;
}

void index_cursor_free(struct index_cursor *cursor)
{
	if (cursor == NULL)
		return;
	if (cursor->cursor != NULL)
		mdb_cursor_close(cursor->cursor);
	free(cursor);
}

static int move(struct index_cursor *cursor, MDB_cursor_op op, MDB_val k, struct slice *ret_key,
		struct slice *ret_value)
{
	MDB_val v = {.mv_size = 0};
	int result = cursor->cursor != NULL ? mdb_cursor_get(cursor->cursor, &k, &v, op) : MDB_PANIC;

	if (result == MDB_NOTFOUND)
		return 0;
	if (result != 0)
		return ERR_IO;
	*ret_key = slice_of_val(k);
	*ret_value = slice_of_val(v);
	return 1;
}

int index_seek(struct index_cursor *cursor, const struct index_key *key, struct slice *ret_key,
	       struct slice *ret_value)
{
	if (key->size == 0)
		return move(cursor, MDB_FIRST, (MDB_val){.mv_size = 0}, ret_key, ret_value);
	return move(cursor, MDB_SET_RANGE, key_val(key), ret_key, ret_value);
}

int index_seek_last(struct index_cursor *cursor, const struct index_key *key, struct slice *ret_key,
		    struct slice *ret_value)
{
	int found = index_seek(cursor, key, ret_key, ret_value);

	if (found < 0)
		return found;
	if (found == 0)
		return move(cursor, MDB_LAST, (MDB_val){.mv_size = 0}, ret_key, ret_value);
	if (slice_compare(*ret_key, slice_make(key->bytes, key->size)) == 0)
		return 1;
	return index_previous(cursor, ret_key, ret_value);
}

int index_next(struct index_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
	return move(cursor, MDB_NEXT, (MDB_val){.mv_size = 0}, ret_key, ret_value);
}

int index_previous(struct index_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
	return move(cursor, MDB_PREV, (MDB_val){.mv_size = 0}, ret_key, ret_value);
}

/* --- writing ------------------------------------------------------------------------------------- */

int index_write_begin(struct spool_index *index, struct index_txn **ret_txn)
{
	int error = error_of(mdb_txn_begin(index->env, NULL, 0, &index->writing.txn));

	if (error != 0)
		return error;
	index->writing.index = index;
	*ret_txn = &index->writing;
	return 0;
}

int index_put(struct index_txn *txn, enum index_table table, const struct index_key *key, struct slice value)
{
	MDB_dbi dbi = txn->index->tables[table];
	MDB_val k = key_val(key), v = val(value);
	/* Most keys are larger than all before: appending fills pages instead of halving them. */
	int result = mdb_put(txn->txn, dbi, &k, &v, MDB_APPEND);

	if (result == MDB_KEYEXIST) {
		v = val(value);
		result = mdb_put(txn->txn, dbi, &k, &v, 0);
	}
	return error_of(result);
}

int index_delete(struct index_txn *txn, enum index_table table, const struct index_key *key)
{
	MDB_val k = key_val(key);
	int error = error_of(mdb_del(txn->txn, txn->index->tables[table], &k, NULL));

	return error == ERR_MISSING ? 0 : error;
}

int index_txn_get(struct index_txn *txn, enum index_table table, const struct index_key *key,
		  struct slice *ret_value)
{
	return get(txn->txn, txn->index->tables[table], key, ret_value);
}

int index_prune(struct index_txn *txn, enum index_table table, const struct index_key *below, size_t max)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	int result = mdb_cursor_open(txn->txn, txn->index->tables[table], &cursor);

	if (result != 0)
		return error_of(result);
	while (max-- > 0 && (result = mdb_cursor_get(cursor, &k, &v, MDB_FIRST)) == 0) {
		if (slice_compare(slice_of_val(k), slice_make(below->bytes, below->size)) >= 0)
			break;
		result = mdb_cursor_del(cursor, 0);
		if (result != 0)
			break;
	}
	mdb_cursor_close(cursor);
	return result == MDB_NOTFOUND ? 0 : error_of(result);
}

int index_empty(struct index_txn *txn, enum index_table table)
{
	return error_of(mdb_drop(txn->txn, txn->index->tables[table], 0));
}

int index_commit(struct index_txn *txn)
{
	int error = error_of(mdb_txn_commit(txn->txn)); /* frees it in any case */

	txn->txn = NULL;
	return error;
}

void index_reserve(struct spool_index *index, uint64_t bytes)
{
	struct stat status;
	int file;

	if (bytes == 0 || mdb_env_get_fd(index->env, &file) != 0 || fstat(file, &status) != 0)
		return;
	(void)fallocate(file, FALLOC_FL_KEEP_SIZE, status.st_size, (off_t)bytes);
}

void index_abort(struct index_txn *txn)
{
	if (txn->txn != NULL)
		mdb_txn_abort(txn->txn);
	txn->txn = NULL;
}

int index_copy(struct spool_index *index, const char *folder)
{
	return error_of(mdb_env_copy2(index->env, folder, 0));
}

/* --- state --------------------------------------------------------------------------------------- */

int index_put_state(struct index_txn *txn, const struct index_state *state)
{
	const uint64_t numbers[] = {
	    state->format,	     state->position.segment, state->position.offset, state->last_id,
	    state->end_seq,	     state->totals.accepted,  state->totals.queued,   state->totals.ended,
	    state->totals.delivered, state->totals.set_aside, state->messages,	      state->bytes,
	    state->rebuilding,
	};
	uint64_t bytes[sizeof(numbers) / sizeof(numbers[0])];
	struct index_key key = index_key_bytes(SLICE("state"));

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		bytes[i] = htole64(numbers[i]);
	return index_put(txn, INDEX_STATE, &key, slice_make(bytes, sizeof(bytes)));
}

int index_get_state(struct spool_index *index, struct index_state *ret_state)
{
	struct index_key key = index_key_bytes(SLICE("state"));
	struct slice value;
	int error = index_get(index, INDEX_STATE, &key, &value);

	if (error != 0)
		return error;
	struct wire_reader r = wire_reader(value);
	struct index_state state = {.format = wire_read_u64(&r)};
	if (wire_ok(&r) && state.format > INDEX_FORMAT)
		return ERR_VERSION;
	state.position.segment = wire_read_u64(&r);
	state.position.offset = (uint32_t)wire_read_u64(&r);
	state.last_id = wire_read_u64(&r);
	state.end_seq = wire_read_u64(&r);
	state.totals.accepted = wire_read_u64(&r);
	state.totals.queued = wire_read_u64(&r);
	state.totals.ended = wire_read_u64(&r);
	state.totals.delivered = wire_read_u64(&r);
	state.totals.set_aside = wire_read_u64(&r);
	state.messages = wire_read_u64(&r);
	state.bytes = wire_read_u64(&r);
	state.rebuilding = wire_read_u64(&r) != 0;
	if (!wire_ok(&r))
		return ERR_CORRUPT;
	*ret_state = state;
	return 0;
}

static int check_rows(struct spool_index *index, enum index_table table, size_t key_size, size_t numbers)
{
	struct index_cursor *cursor = index_cursor_new(index, table);
	struct index_key first = {.size = 0};
	struct slice key, value;
	int found = cursor != NULL ? index_seek(cursor, &first, &key, &value) : ERR_MEMORY;

	for (; found == 1; found = index_next(cursor, &key, &value))
		if (key.size != key_size || value.size < numbers * sizeof(uint64_t)) {
			found = ERR_CORRUPT;
			break;
		}
	index_cursor_free(cursor);
	return found;
}

int index_check(struct spool_index *index)
{
	struct index_state state;
	int error = index_get_state(index, &state);

	if (error == ERR_MISSING || error == ERR_VERSION)
		return 0; /* nothing yet, or not ours to judge */
	if (error == 0)
		error = check_rows(index, INDEX_SEGMENT, sizeof(uint64_t), 3);
	return error == 0 ? check_rows(index, INDEX_DOMAIN, sizeof(uint32_t), 4) : error;
}
