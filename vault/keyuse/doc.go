// Package keyuse compares what keys were opened for with what the log says was done.
//
// No log can tell of an entry that was never written. But to read anything of a person
// their key must be opened, and that is counted where it happens, apart from the log:
// [Counter] reports the counts, the log has the digest of the reports (keys.counted), and
// [Reconcile] names the uses that should have left an entry and did not. A key service
// outside the house that counts by itself is compared with the reports in the same way.
package keyuse
