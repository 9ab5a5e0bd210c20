// Package casework keeps the cases that recipients handle: a question that a person
// asked, a complaint that they filed.
//
// A case binds one person to one recipient for a while. Data that is for whoever handles
// a case, such as the history of conversations, is opened to that recipient while it is
// open, and to nobody else: the gate looks the case up for each query that names it. Every
// case is opened and closed through the log, and ends by itself after [Life].
package casework
