"""What every comparison needs: model folders, a running server, a client, pictures, the table."""
