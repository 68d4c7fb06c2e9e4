package badger

import (
	"encoding/binary"
	"errors"

	"github.com/auditgate/auditgate/record"
)

// filterBuilder makes the pages of one group of blocks after the other.
type filterBuilder struct {
	words, names tokenSet // of the unit that is being filled
	word         func(word []byte) bool
	tokens       []uint64 // of the units before, each unit's words and then its names
	units        []unitTokens
}

// unitTokens is how many tokens a unit has.
type unitTokens struct {
	words, names int
	full         bool
}

// add takes one record of the unit.
func (b *filterBuilder) add(s *record.Stored, request, response []byte) {
	if b.word == nil {
		b.word = func(word []byte) bool {
			b.words.add(wordToken(word))
			return len(b.words.list)+len(b.tokens) < groupMost
		}
	}
	if len(b.words.list)+len(b.tokens) < groupMost {
		_ = s.EachWord(request, response, b.word) // an error: who reads the record is told
	}
	for _, n := range [...]struct {
		of   byte
		name []byte
	}{
		{ofRequest, s.RequestID},
		{ofTrace, s.TraceID},
		{ofToken, s.TokenID},
		{ofJob, s.JobID},
		{ofObject, s.ObjectID},
		{ofObject, s.ObjectName},
		{ofUser, s.UserID},
		{ofUser, s.UserName},
		{ofUser, s.UserEmail},
	} {
		if len(n.name) > 0 {
			b.names.add(nameToken(n.of, n.name))
		}
	}
}

// endUnit ends the unit. There is one for each sub-block of metadata.
func (b *filterBuilder) endUnit() {
	u := unitTokens{words: len(b.words.list), names: len(b.names.list)}
	if len(b.tokens)+u.words+u.names >= groupMost {
		b.units = append(b.units, unitTokens{full: true})
	} else {
		b.tokens = append(append(b.tokens, b.words.list...), b.names.list...)
		b.units = append(b.units, u)
	}
	b.words.clear()
	b.names.clear()
}

// pageCount returns how many pages the units so far make.
func (b *filterBuilder) pageCount() int {
	return 1 + len(b.tokens)*wordBits/8/pageSize
}

// flush hands over the pages of the units so far, and begins anew.
//
// A page has the number of units, for each of them one more than the length of its
// filter, or 0 for one that is full (all uvarints), and then the filters.
func (b *filterBuilder) flush(put func(page int, data []byte) error) error {
	pages := b.pageCount()
	ends := make([][]int, len(b.units)) // where the tokens of each page end: words, names, of all pages
	var room []uint64
	rest := b.tokens
	for i, u := range b.units {
		ends[i] = make([]int, 0, 2*pages)
		ends[i] = sortByPage(rest[:u.words], pages, &room, ends[i])
		ends[i] = sortByPage(rest[u.words:u.words+u.names], pages, &room, ends[i])
		rest = rest[u.words+u.names:]
	}
	for page := range pages {
		data := binary.AppendUvarint(make([]byte, 0, pageSize+pageSize/4), uint64(len(b.units)))
		each := func(do func(words, names []uint64, size int, full bool)) {
			rest := b.tokens
			for i, u := range b.units {
				words := cutPage(rest[:u.words], ends[i][:pages], page)
				names := cutPage(rest[u.words:u.words+u.names], ends[i][pages:], page)
				do(words, names, ((len(words)+nameWeight*len(names))*wordBits+7)/8, u.full)
				rest = rest[u.words+u.names:]
			}
		}
		each(func(_, _ []uint64, size int, full bool) {
			if full {
				size = -1
			}
			data = binary.AppendUvarint(data, uint64(size+1))
		})
		each(func(words, names []uint64, size int, _ bool) {
			start := len(data)
			data = append(data, make([]byte, size)...)
			for _, token := range words {
				setBits(data[start:], token, wordProbes)
			}
			for _, token := range names {
				setBits(data[start:], token, nameWeight*wordProbes)
			}
		})
		if err := put(page, data); err != nil {
			return err
		}
	}
	b.tokens, b.units = b.tokens[:0], b.units[:0]
	return nil
}

// sortByPage sorts tokens by their pages, and appends to ends where those of each
// page end.
func sortByPage(tokens []uint64, pages int, room *[]uint64, ends []int) []int {
	from := len(ends)
	ends = append(ends, make([]int, pages)...)
	at := ends[from:]
	for _, token := range tokens {
		at[pageOf(token, pages)]++
	}
	sum := 0
	for i, n := range at {
		at[i] = sum
		sum += n
	}
	*room = append((*room)[:0], tokens...)
	for _, token := range *room {
		page := pageOf(token, pages)
		tokens[at[page]] = token
		at[page]++
	}
	return ends
}

func cutPage(tokens []uint64, ends []int, page int) []uint64 {
	if page == 0 {
		return tokens[:ends[0]]
	}
	return tokens[ends[page-1]:ends[page]]
}

var errPage = damaged(errors.New("malformed page of filters"))

// eachUnit calls do for each unit of a page; a filter is nil where the unit is full,
// and empty where it has no tokens there.
func eachUnit(page []byte, do func(unit int, filter []byte)) error {
	units, n := binary.Uvarint(page)
	if n <= 0 || units > uint64(len(page)) {
		return errPage
	}
	sizes := page[n:]
	filters := sizes
	for range units { // the filters begin where the lengths end
		_, n := binary.Uvarint(filters)
		if n <= 0 {
			return errPage
		}
		filters = filters[n:]
	}
	for unit := range int(units) {
		size, n := binary.Uvarint(sizes)
		sizes = sizes[n:]
		if size == 0 {
			do(unit, nil)
			continue
		}
		if size-1 > uint64(len(filters)) {
			return errPage
		}
		do(unit, filters[:size-1:size-1])
		filters = filters[size-1:]
	}
	return nil
}
