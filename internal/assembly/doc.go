// Package assembly puts the rooms of the house together: it opens the key directory,
// the database, the policies and the log, checks that they belong together, and hands
// out what the commands and the server use.
//
// Nothing is decided here. What is checked before anything opens: the migrations are
// those of this binary, the KEK opens what the database was sealed with, the log
// recomputes to its last root, the policies compile. A Mahrem for which one of these
// does not hold does not start, and the error names the part and the next step.
package assembly
