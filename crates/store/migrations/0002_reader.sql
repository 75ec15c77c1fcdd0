-- What only the owner of the mirror may read: no other role is ever granted anything here.
CREATE TABLE millpond.secret (
    name  text PRIMARY KEY,
    value text NOT NULL
);
REVOKE ALL ON millpond.secret FROM PUBLIC;
