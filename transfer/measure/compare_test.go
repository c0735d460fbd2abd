package measure

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// list makes a list of files "a", "b=1": a name and its content.
func list(files ...string) *List {
	l := &List{Register: 13}
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		l.Events = append(l.Events, Event{Name: "/" + name, SHA256: sum([]byte(content))})
	}
	return l
}

func TestCompare(t *testing.T) {
	tests := map[string]struct {
		was, is *List
		want    []string
	}{
		"the same":           {list("a", "b"), list("a", "b"), nil},
		"both empty":         {list(), list(), nil},
		"changed":            {list("a", "b"), list("a", "b=1"), []string{`"/b" has changed (was e3b0c44298fc, is 6b86b273ff34)`}},
		"added":              {list("a"), list("b", "a"), []string{`"/b" is new (e3b0c44298fc)`}},
		"removed":            {list("a", "b"), list("b"), []string{`"/a" is no longer measured (was e3b0c44298fc)`}},
		"one moved":          {list("a", "b", "c", "d"), list("b", "c", "d", "a"), []string{`"/a" is measured at another place in the order`}},
		"changed and moved":  {list("a", "b", "c"), list("c=1", "a", "b"), []string{`"/c" has changed (was e3b0c44298fc, is 6b86b273ff34)`, `"/c" is measured at another place in the order`}},
		"everything at once": {list("a", "b", "c"), list("c", "b", "d"), []string{`"/b" is measured at another place in the order`, `"/d" is new (e3b0c44298fc)`, `"/a" is no longer measured (was e3b0c44298fc)`}},
	}
	for name, test := range tests {
		var got []string
		for _, c := range Compare(test.was, test.is) {
			got = append(got, c.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

// Nothing differs exactly when the register would have the same value, and what
// is said suffices to make one list of the other but for the new places.
func TestCompareComplete(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 13))
	random := func() *List {
		var files []string
		for _, i := range r.Perm(5)[:r.IntN(6)] {
			files = append(files, string(rune('a'+i))+[]string{"", "=1"}[r.IntN(2)])
		}
		return list(files...)
	}
	same := 0
	for range 20_000 {
		was, is := random(), random()
		changes := Compare(was, is)
		if (len(changes) == 0) != (was.Replay() == is.Replay()) {
			t.Fatalf("%v and %v: %v", was, is, changes)
		}
		if len(changes) == 0 {
			same++
		}
		files := make(map[string]Digest)
		for _, e := range was.Events {
			files[e.Name] = e.SHA256
		}
		for _, c := range changes {
			if before, ok := files[c.Name]; ok == (c.Kind == Added) || c.Kind != Moved && before != c.Was {
				t.Fatalf("%v and %v: %v", was, is, changes)
			}
			if files[c.Name] = c.Is; c.Kind == Removed {
				delete(files, c.Name)
			}
		}
		for _, e := range is.Events {
			if files[e.Name] != e.SHA256 {
				t.Fatalf("%v and %v: %v", was, is, changes)
			}
			delete(files, e.Name)
		}
		if len(files) > 0 {
			t.Fatalf("%v and %v: %v", was, is, changes)
		}
	}
	if same == 0 {
		t.Error("no two lists were the same")
	}
}
