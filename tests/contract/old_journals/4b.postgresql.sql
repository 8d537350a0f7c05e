CREATE TABLE public.given (
    "user" character varying(512) NOT NULL,
    thing character varying(1024) NOT NULL
);
CREATE TABLE public.hours (
    hour bigint NOT NULL,
    writer character varying(128) NOT NULL,
    tally text NOT NULL
);
CREATE TABLE public.seen (
    recipient character varying(1024) NOT NULL,
    answer character varying(16) NOT NULL,
    reason text NOT NULL,
    "user" character varying(512) NOT NULL,
    source character varying(256) NOT NULL,
    policy character varying(256) NOT NULL,
    plan text NOT NULL,
    times integer NOT NULL,
    first_seen double precision NOT NULL,
    last_seen double precision NOT NULL
);
CREATE TABLE public.unfinished (
    "user" character varying(512) NOT NULL,
    address character varying(1024) NOT NULL,
    service character varying(16) NOT NULL,
    begun boolean NOT NULL,
    usable boolean NOT NULL,
    attempts integer NOT NULL,
    next_try double precision NOT NULL,
    error text NOT NULL
);
INSERT INTO public.given VALUES ('jürgen@example.org', 'folder Sent');
INSERT INTO public.given VALUES ('ann', 'folder Sent');
INSERT INTO public.given VALUES ('ann', 'folder Entwürfe');
INSERT INTO public.given VALUES ('ann', 'subscription Sent');
INSERT INTO public.hours VALUES (1794996000, 'mx1:1:aa', '{"kinds": [["milter", "accept", "created", "", "example.org", "", 3]], "created": [["everyone", "example.org", 3]], "times": [], "unknown": {}, "clients": {}}');
INSERT INTO public.hours VALUES (1794999600, 'mx1:1:aa', '{"kinds": [], "created": [], "times": [], "unknown": {"nobody@example.org": 2}, "clients": {}}');
INSERT INTO public.seen VALUES ('<nobody@example.org>', 'unknown', 'no account source knows this user', '', '', '', '', 2, 1795000000, 1795000000);
INSERT INTO public.seen VALUES ('<''quo"ted\ 100%s:x''@example.org>', 'unknown', 'no account source knows this user', '', '', '', '', 1, 1795000000, 1795000000);
INSERT INTO public.unfinished VALUES ('joe', 'joe@example.org', 'lmtp', true, false, 0, 1795000060, '');
INSERT INTO public.unfinished VALUES ('jürgen@example.org', 'Jürgen@example.org', 'imap', true, true, 3, 1795000480, 'Cyrus: it''s "away"
for now — later');
INSERT INTO public.unfinished VALUES ('late', 'late@example.org', 'lmtp', false, false, 0, 1795000000, 'accounts.staff: no answer');
ALTER TABLE ONLY public.given
    ADD CONSTRAINT given_pkey PRIMARY KEY ("user", thing);
ALTER TABLE ONLY public.hours
    ADD CONSTRAINT hours_pkey PRIMARY KEY (hour, writer);
ALTER TABLE ONLY public.seen
    ADD CONSTRAINT seen_pkey PRIMARY KEY (recipient);
ALTER TABLE ONLY public.unfinished
    ADD CONSTRAINT unfinished_pkey PRIMARY KEY ("user");
CREATE INDEX ix_seen_last_seen ON public.seen USING btree (last_seen);
CREATE INDEX ix_unfinished_next_try ON public.unfinished USING btree (next_try);
