CREATE TABLE given (
	user VARCHAR(512) NOT NULL, 
	thing VARCHAR(1024) NOT NULL, 
	PRIMARY KEY (user, thing)
);
INSERT INTO "given" VALUES('jürgen@example.org','folder Sent');
INSERT INTO "given" VALUES('ann','folder Sent');
INSERT INTO "given" VALUES('ann','folder Entwürfe');
INSERT INTO "given" VALUES('ann','subscription Sent');
CREATE TABLE hours (
	hour INTEGER NOT NULL, 
	writer VARCHAR(128) NOT NULL, 
	tally TEXT(1048576) NOT NULL, 
	PRIMARY KEY (hour, writer)
);
INSERT INTO "hours" VALUES(1794996000,'mx1:1:aa','{"kinds": [["milter", "accept", "created", "", "example.org", "", 3]], "created": [["everyone", "example.org", 3]], "times": [], "unknown": {}, "clients": {}}');
INSERT INTO "hours" VALUES(1794999600,'mx1:1:aa','{"kinds": [], "created": [], "times": [], "unknown": {"nobody@example.org": 2}, "clients": {}}');
CREATE TABLE seen (
	recipient VARCHAR(1024) NOT NULL, 
	answer VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	user VARCHAR(512) NOT NULL, 
	source VARCHAR(256) NOT NULL, 
	policy VARCHAR(256) NOT NULL, 
	"plan" TEXT NOT NULL, 
	times INTEGER NOT NULL, 
	first_seen FLOAT NOT NULL, 
	last_seen FLOAT NOT NULL, 
	PRIMARY KEY (recipient)
);
INSERT INTO "seen" VALUES('<nobody@example.org>','unknown','no account source knows this user','','','','',2,1795000000.0,1795000000.0);
INSERT INTO "seen" VALUES('<''quo"ted\ 100%s:x''@example.org>','unknown','no account source knows this user','','','','',1,1795000000.0,1795000000.0);
CREATE TABLE unfinished (
	user VARCHAR(512) NOT NULL, 
	address VARCHAR(1024) NOT NULL, 
	service VARCHAR(16) NOT NULL, 
	begun BOOLEAN NOT NULL, 
	usable BOOLEAN NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_try FLOAT NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (user)
);
INSERT INTO "unfinished" VALUES('joe','joe@example.org','lmtp',1,0,0,1795000060.0,'');
INSERT INTO "unfinished" VALUES('jürgen@example.org','Jürgen@example.org','imap',1,1,3,1795000480.0,'Cyrus: it''s "away"
for now — later');
INSERT INTO "unfinished" VALUES('late','late@example.org','lmtp',0,0,0,1795000000.0,'accounts.staff: no answer');
CREATE INDEX ix_unfinished_next_try ON unfinished (next_try);
CREATE INDEX ix_seen_last_seen ON seen (last_seen);
