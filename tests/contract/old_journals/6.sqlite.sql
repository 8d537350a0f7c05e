CREATE TABLE creations (
	user VARCHAR(250) NOT NULL, 
	holder VARCHAR(256) NOT NULL, 
	held_until DOUBLE NOT NULL, 
	welcomed BOOLEAN NOT NULL, 
	PRIMARY KEY (user)
);
INSERT INTO "creations" VALUES('new','mx1:1:aa',1795000120.0,0);
CREATE TABLE given (
	user VARCHAR(250) NOT NULL, 
	thing VARCHAR(500) NOT NULL, 
	PRIMARY KEY (user, thing)
);
INSERT INTO "given" VALUES('jürgen@example.org','folder Sent');
INSERT INTO "given" VALUES('ann','folder Sent');
INSERT INTO "given" VALUES('ann','folder Entwürfe');
INSERT INTO "given" VALUES('ann','subscription Sent');
INSERT INTO "given" VALUES('hook','folder Sent');
CREATE TABLE hooks (
	user VARCHAR(250) NOT NULL, 
	policy VARCHAR(256) NOT NULL, 
	event TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_try DOUBLE NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (user)
);
INSERT INTO "hooks" VALUES('hook','everyone','{"user": "hook"}',0,1795000000.0,'');
CREATE TABLE hours (
	hour BIGINT NOT NULL, 
	writer VARCHAR(128) NOT NULL, 
	tally TEXT NOT NULL, 
	PRIMARY KEY (hour, writer)
);
INSERT INTO "hours" VALUES(1794996000,'mx1:1:aa','{"kinds": [["milter", "accept", "created", "", "example.org", "", 3]], "created": [["everyone", "example.org", 3]], "times": [], "unknown": {}, "clients": {}}');
INSERT INTO "hours" VALUES(1794999600,'mx1:1:aa','{"kinds": [], "created": [], "times": [], "unknown": {"nobody@example.org": 2}, "clients": {}}');
CREATE TABLE seen (
	recipient VARCHAR(700) NOT NULL, 
	answer VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	user VARCHAR(512) NOT NULL, 
	source VARCHAR(256) NOT NULL, 
	policy VARCHAR(256) NOT NULL, 
	"plan" TEXT NOT NULL, 
	times INTEGER NOT NULL, 
	first_seen DOUBLE NOT NULL, 
	last_seen DOUBLE NOT NULL, 
	PRIMARY KEY (recipient)
);
INSERT INTO "seen" VALUES('<nobody@example.org>','unknown','no account source knows this user','','','','',2,1795000000.0,1795000000.0);
INSERT INTO "seen" VALUES('<''quo"ted\ 100%s:x''@example.org>','unknown','no account source knows this user','','','','',1,1795000000.0,1795000000.0);
CREATE TABLE unfinished (
	user VARCHAR(250) NOT NULL, 
	address VARCHAR(1024) NOT NULL, 
	service VARCHAR(16) NOT NULL, 
	begun BOOLEAN NOT NULL, 
	usable BOOLEAN NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_try DOUBLE NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (user)
);
INSERT INTO "unfinished" VALUES('joe','joe@example.org','lmtp',1,0,0,1795000060.0,'');
INSERT INTO "unfinished" VALUES('jürgen@example.org','Jürgen@example.org','imap',1,1,3,1795000480.0,'Cyrus: it''s "away"
for now — later');
INSERT INTO "unfinished" VALUES('late','late@example.org','lmtp',0,0,0,1795000000.0,'accounts.staff: no answer');
INSERT INTO "unfinished" VALUES('new','new@example.org','lmtp',1,0,0,1795000060.0,'');
CREATE TABLE watch (
	name VARCHAR(250) NOT NULL, 
	value TEXT NOT NULL, 
	until DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "watch" VALUES('mark:staff','{"until": 1794999000}',0.0);
INSERT INTO "watch" VALUES('lease','mx1:1:aa',1795000030.0);
CREATE INDEX ix_unfinished_next_try ON unfinished (next_try);
CREATE INDEX ix_seen_last_seen ON seen (last_seen);
CREATE INDEX ix_hooks_next_try ON hooks (next_try);
