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
	usable BOOLEAN NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_try FLOAT NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (user)
);
INSERT INTO "unfinished" VALUES('joe','joe@example.org',0,0,1795000060.0,'');
INSERT INTO "unfinished" VALUES('jürgen@example.org','Jürgen@example.org',1,3,1795000480.0,'Cyrus: it''s "away"
for now — later');
CREATE INDEX ix_unfinished_next_try ON unfinished (next_try);
CREATE INDEX ix_seen_last_seen ON seen (last_seen);
