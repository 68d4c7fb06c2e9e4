// Package badger is the store that is built in: records stand in a journal
// first and are then packed into blocks, which Badger keeps.
//
// A record that was added is in the journal (see [store.Journal]); that is what
// makes it durable, and it is listed from there. Once a journal file is full,
// or its first record is ten minutes old, its records are packed: sorted by id,
// cut into blocks of about a thousand, compressed, and written once, in
// transactions that Badger syncs. Then the journal file goes. Packing a file
// twice writes the same keys and the same bytes, so a crash in between costs
// nothing but the work; and a record that is in both places for a moment is
// listed once, since its id tells. Begin entries are never packed: the journal
// keeps them until their records come.
//
// Blocks stand in segments. A segment is one Badger of its own, for what was
// committed on one day in one class (see [record.Class]); to drop it is to
// remove a directory. A scan merges the journal and all blocks that can overlap,
// newest first, and reads no block before it comes to its newest record, no
// metadata that cannot match, and no body of a record that does not.
//
// Segments are dropped whole: once the newest record is older than its class is
// kept (see [store.Retention]), or, oldest first, while the volume is too full. A
// segment that goes says so in its manifest, then a record of that is stored, then
// its directory is moved to the trash and removed; each step is taken up again after
// a crash, and the record is made once. Readers that were in it go on as if it had
// never been there. It stays while the journal has a file of the same sequences,
// which may be packed again. Age is measured by the clock, but not by one that has
// just moved by more than a day.
//
// Each block has two indexes, written with it. Filters (of Bloom) know the words
// and names, as ids and users, of the records of each sub-block of metadata: what
// has not all that is asked for is not opened. Those of many blocks share pages, so
// that a look-up reads one page for all of them. Columns know of each record what
// other filters and summaries ask about. What both let through is decoded and
// judged by the query itself, so they may be coarse, and blocks without them are
// read whole.
//
// # On disk
//
// Format 1. Below the store's path, every directory with mode 0700:
//
//	lock       locked (flock) by the process that has the store open; its pid
//	format     "auditgate store 1\n"
//	node       the store's name, 16 hexadecimal digits, made once
//	retention.json
//	           what no segment can tell: "sequence", the highest that was in a
//	           segment that was dropped, "clock", the time as retention believes it, and
//	           "healed", ids of the gaps that dropped segments had closed
//	journal/   see package store
//	trash/     segments that were dropped; removed at once, or at the next start
//	segments/<YYYY-MM-DD>.<class>/
//	           segment.json and the files of a Badger; the day (UTC) is that of
//	           the newest record in the journal file that was packed. One that was
//	           brought back from quarantine may have a dot and a number behind that
//	quarantine/<segment>.<n>/
//	           segments that were set aside since they are damaged
//
// segment.json says what a segment may hold, as an object: "oldest" and "newest"
// (ids), "first" and "last" (sequence), "count", and "gaps_until", the end of
// the last gap's stretch, where there are gaps; "digest", of all blocks; "keys", the
// ids of the keys that entries are sealed with, among them "none" where some are plain,
// and absent where all are; "value_log", the highest number of a value log; "dropping", the record and the reason of a drop that
// has begun; "anew", the name of the segment when all this was made of what was found in it,
// without the old file; and "crc32c", last, of all bytes before that member. It is widened before blocks are
// written, so a reader that trusts it misses nothing; after a crash it may say
// more than there is, until the file that was being packed is packed again.
//
// Values of more than 10 KiB stand in value logs of Badger's, the others beside their
// keys in its tables; a reader need not know which. See valuelog.go.
//
// A block is a few entries of Badger, whose keys stand together:
//
//	'b' | ^id of its newest record (16) | its lowest sequence (8) | part (5)
//
// Numbers are big-endian. With the id inverted newer blocks sort first, so that
// what is packed later does not overlap what Badger has written before. The
// part is kind (1), sub-block (2) and piece (2); there are five kinds:
//
//	0  head      one entry, a protobuf message; the numbers are in head.go
//	1  metadata  of some records, newest first, about 32 KiB before compression
//	2  bodies    of the same records in the same order, about 64 KiB; a
//	             longer body has a sub-block to itself
//	3  columns   of all records, newest first, in five entries: 0 places, 1 facts,
//	             2 users, 3 addresses, 4 URIs; see columns.go
//	4  filters   a page, for this block and some that follow it; see tokens.go
//
// What is of kind 1 to 3 is one zstd frame with its checksum. All but heads is cut
// into pieces of 256 KiB. Heads are committed last: where one is, all of its block is. A
// head has the SHA-256 of all pieces of kinds 1 and 2 of its block, in the order of
// their keys. The digest of a block is the SHA-256 of the 25 bytes that its keys have
// in common and its head; that of a segment, in its manifest and in the record of its
// drop, is the SHA-256 of those of its blocks, in the order of their keys, in hexadecimal.
//
// Before all blocks stand directories, one for each group of blocks that share filters:
//
//	'a' | ^id of the newest record of its first block (16) | its lowest sequence (8)
//
// It has a copy of what the heads say of their blocks, and comes after them; see
// directory.go. They are believed where "directories" in segment.json says that no
// block is without; else the heads are asked.
//
// Where there is a key the value of each entry is sealed ([store.Sealer]): for the
// place "segment", a line end and the directory's name, about the entry's key; Badger's
// user metadata of it is 1. Badger's own encryption is off, since it does not tell what
// was changed, and needs all of a directory to have one key. Keys stay as they are: all
// they tell is when calls were made, and how many, as segment.json does.
//
// A sub-block of metadata is a row after the other: id (16), difference of the
// sequence to that of the row before, of the first row to 0 (varint), length of
// the metadata (uvarint), the metadata ([record.AppendAnnounced] and
// [record.Record.AppendMeta]), then one more than the number of the sub-block that
// has the bodies, or 0 where both are empty (uvarint), and if they are not, where
// they begin in it and the length of the request's and of the response's (uvarints).
package badger
