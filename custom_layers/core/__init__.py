"""What every layer family needs: checks of shapes, protocols, masks."""
