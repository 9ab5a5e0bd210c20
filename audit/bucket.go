package audit

// Bucket is a count as an entry tells it: by order of magnitude, so that a rare exact
// number does not single anybody out (Recital 26 GDPR).
type Bucket string

// buckets are the only counts an entry can hold; the empty bucket stands for "does not
// apply" and is left out.
var buckets = [...]struct {
	max  uint64
	name Bucket
}{
	{0, ""},
	{1, "1"},
	{10, "2-10"},
	{100, "11-100"},
	{1_000, "101-1000"},
	{10_000, "1001-10000"},
	{100_000, "10001-100000"},
	{1_000_000, "100001-1000000"},
	{1<<64 - 1, "1000001-"},
}

// BucketOf returns the bucket that n falls into.
func BucketOf(n uint64) Bucket {
	for _, b := range buckets {
		if n <= b.max {
			return b.name
		}
	}
	panic("audit: count beyond every bucket")
}

func isBucket(s Bucket) bool {
	for _, b := range buckets {
		if s == b.name {
			return true
		}
	}
	return false
}

// CompareBuckets orders buckets by what they stand for.
func CompareBuckets(a, b Bucket) int { return a.rank() - b.rank() }

func (s Bucket) rank() int {
	for i := range buckets {
		if buckets[i].name == s {
			return i
		}
	}
	return len(buckets)
}
